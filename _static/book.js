/* The theme's buttons are called what they show: the search with its keys, the colour
mode with the names of its icons, which another script writes into them. */

window.addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll(".search-button-field")) {
    button.ariaLabel = button.textContent.trim().replace(/\s+/g, " ");
  }
  for (const button of document.querySelectorAll(".theme-switch-button")) {
    button.ariaLabel = "Color mode: Light, Dark or System Settings";
  }
  /* a list in name, whose entries have a role that no list may hold */
  for (const list of document.querySelectorAll(".citation-list[role=list]")) {
    list.removeAttribute("role");
  }
});

/* Folds open when a page is printed, and are as before afterwards. */

window.addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details:not([open])")) {
    fold.open = true;
    fold.dataset.openedForPrint = "";
  }
});

window.addEventListener("afterprint", () => {
  for (const fold of document.querySelectorAll("[data-opened-for-print]")) {
    fold.open = false;
    delete fold.dataset.openedForPrint;
  }
});
