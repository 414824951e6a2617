"use strict";
// One pair of sounds at a time: both keep one time; a vote, once both were heard, goes on to the next pair.
{
  const one = (selector) => document.querySelector(selector);
  const pairs = [...document.querySelectorAll(".pair")];
  const sounds = Object.fromEntries([...document.querySelectorAll("audio")].map((audio) => [audio.dataset.side, audio]));
  const sides = [...document.querySelectorAll(".side")];
  const choices = [...document.querySelectorAll(".vote")];
  const [place, hint, where, progress, back] = ["#place", "#hint", "#where", "#progress", "#back"].map(one);
  const votes = {};
  let [number, chosen, heard, isSaved] = [0, "A", new Set(), true];

  function show(k) {
    for (const sound of Object.values(sounds)) sound.pause();
    number = k;
    chosen = "A";
    heard = new Set(votes[k + 1] ? ["A", "B"] : []);
    sounds.A.src = pairs[k].dataset.a;
    sounds.B.src = pairs[k].dataset.b;
    place.value = 0;
    hint.textContent = "";
    mark();
  }

  function mark() {
    const n = Object.keys(votes).length;
    where.textContent = n === pairs.length ? `All ${n} pairs have a vote: save the votes.` : `Pair ${number + 1} of ${pairs.length}`;
    progress.value = n;
    back.disabled = number === 0;
    for (const side of sides) {
      const plays = side.dataset.side === chosen && !sounds[chosen].paused;
      side.setAttribute("aria-pressed", String(plays));
      side.querySelector("span").textContent = plays ? "plays" : "play";
    }
    for (const choice of choices) {
      choice.disabled = heard.size < 2;
      choice.setAttribute("aria-pressed", String(votes[number + 1] === choice.dataset.vote));
    }
  }

  function play(side) {
    const other = sounds[side === "A" ? "B" : "A"];
    const at = side === chosen ? sounds[side].currentTime : other.currentTime;
    other.pause();
    chosen = side;
    seek(sounds[side].ended || at >= sounds[side].duration ? 0 : at);
    sounds[side].play();
  }

  function seek(to) {
    const end = sounds[chosen].duration;
    sounds[chosen].currentTime = Math.max(0, Number.isFinite(end) ? Math.min(to, end) : to);
  }

  function vote(value) {
    if (heard.size < 2) {
      hint.textContent = "Listen to both first.";
      return;
    }
    votes[number + 1] = value;
    isSaved = false;
    const next = pairs.findIndex((_, k) => k > number && !votes[k + 1]);
    const left = next < 0 ? pairs.findIndex((_, k) => !votes[k + 1]) : next;
    show(left < 0 ? number : left);
    one(left < 0 ? "#save-votes" : ".side").focus();
  }

  for (const [side, sound] of Object.entries(sounds)) {
    sound.addEventListener("playing", () => {
      heard.add(side);
      hint.textContent = "";
      mark();
    });
    for (const event of ["pause", "ended"]) sound.addEventListener(event, mark);
    sound.addEventListener("timeupdate", () => side === chosen && (place.value = sound.currentTime));
    sound.addEventListener("loadedmetadata", () => (place.max = sound.duration));
  }
  for (const side of sides) {
    side.addEventListener("click", () => {
      const name = side.dataset.side;
      if (name === chosen && !sounds[name].paused) sounds[name].pause();
      else play(name);
    });
  }
  for (const choice of choices) choice.addEventListener("click", () => vote(choice.dataset.vote));
  place.addEventListener("input", () => seek(Number(place.value)));
  back.addEventListener("click", () => show(number - 1));
  document.addEventListener("keydown", (event) => {
    const isSpace = event.key === " ";
    const isArrow = event.key === "ArrowLeft" || event.key === "ArrowRight";
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat && !isArrow) return;
    if (event.target.closest(isSpace ? "button, input" : isArrow ? "input" : "input[type=text]")) return;
    const letters = { a: "A", b: "B", t: "tie" };
    if (event.key === "1" || event.key === "2") play(event.key === "1" ? "A" : "B");
    else if (isSpace) sounds[chosen].paused ? play(chosen) : sounds[chosen].pause();
    else if (isArrow) seek(sounds[chosen].currentTime + (event.key === "ArrowLeft" ? -2 : 2));
    else if (letters[event.key.toLowerCase()]) vote(letters[event.key.toLowerCase()]);
    else if (event.key === "Backspace" && number > 0) show(number - 1);
    else return;
    event.preventDefault();
  });
  one("#save-votes").addEventListener("click", () => {
    const n = Object.keys(votes).length;
    const saved = one("#saved");
    if (n === 0) {
      saved.textContent = "There is no vote yet.";
      return;
    }
    const file = saveVotes(votes);
    isSaved = true;
    saved.textContent = n < pairs.length ? `Saved as ${file}; ${pairs.length - n} pairs without a vote.` : `Saved as ${file}.`;
  });
  addEventListener("beforeunload", (event) => {
    if (!isSaved) event.preventDefault();
  });
  show(0);
}
