"""Commands of a checkout: experiments, benchmarks, proofs."""
