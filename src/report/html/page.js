"use strict";
// Filters, searches and opens what is there; the page can be read without it.
(() => {
  const find = (id) => document.getElementById(id);
  const all = (what, within = document) => [...within.querySelectorAll(what)];
  document.documentElement.classList.add("on");
  const form = document.querySelector(".filters");

  const opened = (target) => {
    for (let it = target; it; it = it.parentElement) {
      if (it.tagName === "DETAILS") it.open = true;
    }
    if (target.tagName === "DETAILS") target.open = true;
  };
  const show = (target) => {
    opened(target);
    (target.tagName === "DETAILS" ? target.querySelector("summary") : target).focus({ preventScroll: true });
    target.scrollIntoView({ block: "start" });
  };
  const named = () => {
    const id = location.hash.slice(1);
    return id && !id.startsWith("?") ? find(id) : null;
  };
  if (!form) {
    const follow = () => named() && show(named());
    addEventListener("hashchange", follow);
    follow();
    return;
  }

  const places = (text) => {
    const cells = new Set();
    for (const part of text.split(",")) {
      const [first, last = first] = part.split("-").map(Number);
      for (let cell = first; cell <= last; cell += 1) cells.add(cell);
    }
    return cells;
  };
  const probes = all("details.probe").map((node) => ({
    node,
    row: node.parentElement.querySelector("h3").id,
    text: node.textContent.toLowerCase(),
    results: all(".result", node).map((part) => ({
      part, verdict: part.dataset.v, cells: places(part.dataset.c),
    })),
    badges: all("summary .v", node),
  }));
  const rows = all(".row").map((node) => ({ node, probes: all("details.probe", node) }));
  const query = find("q"), row = find("row"), cell = find("cell"), found = find("found");
  const boxes = all("[name=v]", form);

  const apply = () => {
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const at = cell && cell.value !== "" ? Number(cell.value) : null;
    let shown = 0;
    for (const probe of probes) {
      let any = false;
      probe.results.forEach((result, i) => {
        const here = at === null || result.cells.has(at);
        const fits = here && (wanted.size === 0 || wanted.has(result.verdict));
        result.part.hidden = !here;
        probe.badges[i].hidden = !here;
        any = any || fits;
      });
      const fits = any && (!row.value || row.value === probe.row) && words.every((word) => probe.text.includes(word));
      probe.node.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    for (const part of rows) part.node.hidden = part.probes.every((node) => node.hidden);
    const narrowed = words.length || wanted.size || at !== null || row.value;
    found.value = narrowed ? `${shown} of ${probes.length} probes shown` : `${probes.length} probes`;
  };

  // The filters stand in the address, so that a view can be sent to others.
  const remember = () => {
    const state = new URLSearchParams();
    if (query.value) state.set("q", query.value);
    for (const box of boxes) if (box.checked) state.append("v", box.value);
    if (row.value) state.set("row", row.value);
    if (cell && cell.value !== "") state.set("cell", cell.value);
    const text = state.toString();
    history.replaceState(null, "", text ? `#?${text}` : location.pathname + location.search);
  };
  const recall = () => {
    const state = new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : "");
    query.value = state.get("q") || "";
    for (const box of boxes) box.checked = state.getAll("v").includes(box.value);
    row.value = state.get("row") || "";
    if (row.selectedIndex < 0) row.value = "";
    if (cell) {
      cell.value = state.get("cell") || "";
      if (cell.selectedIndex < 0) cell.value = "";
    }
  };
  const changed = () => { apply(); remember(); };

  let pause;
  query.addEventListener("input", () => { clearTimeout(pause); pause = setTimeout(changed, 120); });
  form.addEventListener("change", (event) => { if (event.target !== query) changed(); });
  form.addEventListener("submit", (event) => { event.preventDefault(); changed(); });
  form.addEventListener("reset", () => setTimeout(changed));
  const shownProbes = () => probes.filter((probe) => !probe.node.hidden);
  find("open").addEventListener("click", () => shownProbes().forEach((probe) => { probe.node.open = true; }));
  find("close").addEventListener("click", () => probes.forEach((probe) => { probe.node.open = false; }));

  // An entry of the grid shows its probes for its cell alone.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-c]");
    if (!link) return;
    event.preventDefault();
    form.reset();
    if (cell) cell.value = link.dataset.c;
    const target = find(link.hash.slice(1));
    if (target.matches(".row h3")) row.value = target.id;
    for (const box of boxes) box.checked = box.value === link.dataset.v && box.value !== "pass";
    clearTimeout(pause);
    setTimeout(() => { changed(); show(target); });
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      query.focus();
      query.scrollIntoView({ block: "center" });
    } else if (event.key === "Escape" && event.target === query && query.value) {
      query.value = "";
      changed();
    }
  });

  const follow = () => {
    const target = named();
    if (!target) { recall(); apply(); return; }
    const probe = target.closest(".probe, .row");
    if (probe && (probe.hidden || probe.closest(".row").hidden)) { form.reset(); setTimeout(apply); }
    show(target);
  };
  addEventListener("hashchange", follow);
  apply();
  follow();
})();
