"use strict";
// Players that keep one time: choosing another sound goes on where the last one was, and spectrograms follow.
for (const deck of document.querySelectorAll(".deck")) {
  const sounds = [...deck.querySelectorAll("audio")];
  const buttons = [...deck.querySelectorAll(".choose")];
  const lanes = [...deck.querySelectorAll(".lane")];
  const [scroll, time, cursor] = [".scroll", ".time", ".cursor"].map((name) => deck.querySelector(name));
  const seconds = time ? Number(time.dataset.seconds) : 0; // a page for votes shows no spectrograms
  let chosen = 0;

  function show() {
    if (!time) return;
    const x = (sounds[chosen].currentTime / seconds) * time.clientWidth;
    cursor.style.transform = `translateX(${x}px)`;
    if (!sounds[chosen].paused) scroll.scrollLeft = x - scroll.clientWidth / 2;
  }

  function follow() {
    show();
    if (!sounds[chosen].paused) requestAnimationFrame(follow);
  }

  function seek(to) {
    const end = sounds[chosen].duration;
    sounds[chosen].currentTime = Math.max(0, Number.isFinite(end) ? Math.min(to, end) : to);
    show();
  }

  function choose(k) {
    if (k === chosen || k >= sounds.length) return;
    const [at, plays] = [sounds[chosen].currentTime, !sounds[chosen].paused];
    sounds[chosen].pause();
    chosen = k;
    mark();
    seek(at);
    if (plays) sounds[chosen].play();
  }

  function mark() {
    buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(k === chosen)));
    lanes.forEach((lane, k) => lane.classList.toggle("chosen", k === chosen));
  }

  sounds.forEach((sound, k) => {
    sound.addEventListener("play", () => {
      sounds.forEach((other) => other === sound || other.pause());
      chosen = k;
      mark();
      follow();
    });
    sound.addEventListener("seeked", () => k === chosen && show());
  });
  buttons.forEach((button, k) => button.addEventListener("click", () => choose(k)));
  time?.addEventListener("click", (event) => {
    seek(((event.clientX - time.getBoundingClientRect().left) / time.clientWidth) * seconds);
  });
  document.addEventListener("keydown", (event) => {
    const isDigit = /^[1-9]$/.test(event.key);
    const users = isDigit ? "textarea, select, input:not([type=radio])" : "button, input, textarea, select, audio, a, summary";
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest(users)) return;
    const sound = sounds[chosen];
    if (isDigit) choose(Number(event.key) - 1);
    else if (event.key === " ") sound.paused ? sound.play() : sound.pause();
    else if (event.key === "ArrowLeft") seek(sound.currentTime - 2);
    else if (event.key === "ArrowRight") seek(sound.currentTime + 2);
    else return;
    event.preventDefault();
  });
  addEventListener("resize", show);
  mark();
}
