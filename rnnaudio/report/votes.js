"use strict";
// Votes of a listener on each sound of a page.
{
  const saved = document.getElementById("saved");
  document.getElementById("save-votes").addEventListener("click", () => {
    const chosen = [...document.querySelectorAll("input[data-clip]:checked")];
    const missing = new Set([...document.querySelectorAll("input[data-clip]")].map((input) => input.dataset.clip)).size - chosen.length;
    if (chosen.length === 0) {
      saved.textContent = "Nothing is chosen yet.";
      return;
    }
    const file = saveVotes(Object.fromEntries(chosen.map((input) => [input.dataset.clip, Number(input.value)])));
    saved.textContent = missing ? `Saved as ${file}; ${missing} without a vote.` : `Saved as ${file}.`;
  });
}
