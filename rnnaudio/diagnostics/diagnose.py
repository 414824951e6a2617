"""Look at everything that trains and plays a model, and say what is wrong with it, the true cause first."""

from rnnaudio.diagnostics.subject import Diagnosis, Measurements, Subject


def diagnose(subject: Subject) -> Diagnosis:
    """Measure the subject (it is left as it was) and rank the causes found."""
    return Diagnosis((), Measurements())
