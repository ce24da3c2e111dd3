/* The choice of colours: as the system has it, light, or dark. Runs in the head, before anything is painted. */
(function () {
  "use strict";
  const KEY = "vidsuite-theme";
  const CHOICES = ["auto", "light", "dark"];
  let chosen = "auto";

  /* Storage may be forbidden, as it is for files in some browsers: the choice then lasts for the page. */
  function stored() {
    try {
      const found = window.localStorage.getItem(KEY);
      return CHOICES.includes(found) ? found : "auto";
    } catch (error) {
      return "auto";
    }
  }

  function store(choice) {
    try {
      window.localStorage.setItem(KEY, choice);
    } catch (error) { /* see stored */ }
  }

  function show(choice) {
    chosen = choice;
    const root = document.documentElement;
    if (choice === "auto") root.removeAttribute("data-theme");
    else root.setAttribute("data-theme", choice);
    const button = document.getElementById("theme");
    if (button) button.textContent = "Theme: " + choice;
    document.dispatchEvent(new CustomEvent("vidsuite:theme", { detail: choice }));
  }

  document.documentElement.classList.add("js"); // style sheets show what works with scripts alone
  show(stored());
  window.addEventListener("storage", (event) => { if (event.key === KEY) show(stored()); });
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    if (!button) return;
    button.addEventListener("click", () => {
      const next = CHOICES[(CHOICES.indexOf(chosen) + 1) % CHOICES.length];
      store(next);
      show(next);
    });
    show(chosen);
    button.hidden = false;
  });
})();
