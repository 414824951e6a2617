"use strict";
// Votes of a listener, saved as JSON by the browser: nothing leaves the page by itself.
{
  const saved = document.getElementById("saved");
  document.getElementById("save-votes").addEventListener("click", () => {
    const chosen = [...document.querySelectorAll("input[data-clip]:checked")];
    const missing = new Set([...document.querySelectorAll("input[data-clip]")].map((input) => input.dataset.clip)).size - chosen.length;
    if (chosen.length === 0) {
      saved.textContent = "Nothing is chosen yet.";
      return;
    }
    const content = {
      page: document.querySelector("[data-page]").dataset.page,
      voter: document.getElementById("voter").value,
      votes: Object.fromEntries(chosen.map((input) => [input.dataset.clip, Number(input.value)])),
    };
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(content, null, 2) + "\n"], { type: "application/json" }));
    link.download = "votes.json";
    link.click();
    URL.revokeObjectURL(link.href);
    saved.textContent = missing ? `Saved as votes.json; ${missing} without a vote.` : "Saved as votes.json.";
  });
}
