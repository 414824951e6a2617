"use strict";
// Saves what a listener has voted as a JSON file in the browser: nothing leaves the page by itself.
// Returns the name of the file, which has the listener's name in it, so that files of several can lie in one folder.
function saveVotes(votes) {
  const voter = document.getElementById("voter").value;
  const content = { page: document.querySelector("[data-page]").dataset.page, voter, votes };
  const name = voter.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 40);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(content, null, 2) + "\n"], { type: "application/json" }));
  link.download = name ? `votes-${name}.json` : "votes.json";
  link.click();
  URL.revokeObjectURL(link.href);
  return link.download;
}
