#!/bin/sh
# Four runs, their list, the page that compares them, and a sweep of twelve trials that is broken off twice and finished
# by two processes at once; about a quarter of an hour on two cores.
#
#     sh docs/examples/many_runs.sh MUSIC OUT     MUSIC: a recording, or a folder of them; OUT: a new folder
set -eu
music=$(realpath "$1") out=$2
mkdir "$out"
cd "$out"
rnnaudio corpus build "$music" music.h5

for rate in 0.001 0.004; do
    rnnaudio train music.h5 "runs/codes-$rate" --recipe codes --learning-rate "$rate" --minutes 1
done
for cell in lstm gru; do
    rnnaudio train music.h5 "runs/frames-$cell" --preset lstm-small --cell "$cell" --minutes 1
done
rnnaudio runs runs --sort alive
rnnaudio compare runs -o compare.html
rnnaudio compare runs -o blind.html --blind

cat >space.toml <<END
preset = "lstm-small"
max_updates = 60
validate_every = 20

[search]
learning_rate = { low = 1e-4, high = 3e-2, log = true }

[search.model]
cell = ["lstm", "gru"]
n_units = { low = 20, high = 100, step = 20 }

[sweep]
objective = "validation"
n_trials = 12
END

for signal in KILL TERM; do # in the middle of a trial, once without a chance to save anything
    rnnaudio sweep space.toml music.h5 sweep >"sweep-$signal.txt" 2>&1 &
    sleep 45
    kill -"$signal" $!
    wait $! || echo "the sweep ended with status $?: $(tail -n 1 "sweep-$signal.txt")"
done
rnnaudio sweep space.toml music.h5 sweep >sweep-a.txt 2>&1 &
rnnaudio sweep space.toml music.h5 sweep >sweep-b.txt 2>&1
wait
tail -n 2 sweep-a.txt sweep-b.txt
rnnaudio runs sweep --sort validation
