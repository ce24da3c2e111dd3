/* Plots are pictures that need no script. This adds a tip that shows a mark's row while it is pointed at or focused;
   the text is the name of the mark's link, or its data-tip where it leads nowhere, and links work by themselves. */
(function () {
  "use strict";
  const GAP = 12;
  let tip = null;
  let shown = null;

  function made() {
    if (tip) return tip;
    tip = document.createElement("div");
    tip.id = "plot-tip";
    tip.setAttribute("aria-hidden", "true"); // a screen reader has the mark's own label
    tip.hidden = true;
    document.body.append(tip);
    return tip;
  }

  /* The mark at or above an element: a link, or a shape of a picture that says something. */
  function markOf(element) {
    return element instanceof Element ? element.closest(".plot svg a[aria-label], .plot svg [data-tip]") : null;
  }

  function show(mark) {
    if (mark === shown) return;
    shown = mark;
    const box = made();
    box.replaceChildren(...(mark.getAttribute("data-tip") || mark.getAttribute("aria-label")).split("; ").map((line) => {
      const row = document.createElement("div");
      row.textContent = line;
      return row;
    }));
    box.hidden = false;
    place(mark.getBoundingClientRect());
  }

  /* Above the mark where there is room, else below, and never outside the window. */
  function place(at) {
    const size = tip.getBoundingClientRect();
    const left = Math.min(Math.max(at.left + at.width / 2 - size.width / 2, 4), window.innerWidth - size.width - 4);
    const above = at.top - size.height - GAP;
    tip.style.left = left + "px";
    tip.style.top = (above > 4 ? above : at.bottom + GAP) + "px";
  }

  function hide() {
    shown = null;
    if (tip) tip.hidden = true;
  }

  document.addEventListener("pointerover", (event) => {
    const mark = markOf(event.target);
    if (mark) show(mark);
    else if (shown && !shown.contains(document.activeElement)) hide();
  });
  document.addEventListener("focusin", (event) => {
    const mark = markOf(event.target);
    if (mark) show(mark);
    else hide();
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  window.addEventListener("scroll", hide, { passive: true });
  window.addEventListener("blur", hide);
})();
