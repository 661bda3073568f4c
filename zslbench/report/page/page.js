"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const root = document.documentElement;
  const body = find("board").tBodies[0];
  const rows = [...body.rows];
  const heads = [...find("board").tHead.rows[0].cells];
  root.classList.add("js");

  /* theme: the reader's choice goes before the system's */
  const theme = find("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const remembered = (value) => {
    try {
      if (value) localStorage.setItem("zslbench-theme", value);
      return localStorage.getItem("zslbench-theme");
    } catch {
      return null; /* storage is denied to some local files */
    }
  };
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const label = () => { theme.textContent = isDark() ? "Light theme" : "Dark theme"; };
  const before = remembered();
  if (before === "dark" || before === "light") root.dataset.theme = before;
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remembered(root.dataset.theme);
    label();
  });
  system.addEventListener("change", label);
  theme.hidden = false;
  label();

  /* filter */
  const form = document.querySelector(".controls");
  const words = rows.map((row) => row.textContent.toLowerCase());
  const points = [...document.querySelectorAll(".point")];
  const filter = () => {
    const wanted = find("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const dataset = find("dataset").value;
    const rule = find("rule").value;
    const by = find("by")?.value; /* of a public leaderboard */
    const shown = new Set();
    rows.forEach((row, place) => {
      const fits = (!dataset || row.dataset.dataset === dataset)
        && (!rule || row.dataset.rule === rule)
        && (!by || row.dataset.by.split(", ").includes(by))
        && wanted.every((word) => words[place].includes(word));
      row.hidden = !fits;
      if (fits) shown.add(row.dataset.row);
    });
    points.forEach((point) => point.classList.toggle("off", !shown.has(point.dataset.row)));
    find("count").textContent = shown.size === rows.length
      ? `${rows.length} rows` : `${shown.size} of ${rows.length} rows`;
  };
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();

  /* sort: numbers from the top, names from A; what was selected on test stays below the rest */
  const compare = new Intl.Collator("en", { numeric: true, sensitivity: "base" }).compare;
  const sort = (head) => {
    const column = head.cellIndex;
    const numeric = head.classList.contains("n");
    const first = numeric ? "descending" : "ascending";
    const other = numeric ? "ascending" : "descending";
    const order = head.ariaSort === first ? other : first;
    heads.forEach((cell) => cell.setAttribute("aria-sort", cell === head ? order : "none"));
    const sign = order === "ascending" ? 1 : -1;
    const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const keyed = rows.map((row) => [row.classList.contains("test"), value(row), row]);
    keyed.sort(([testA, a], [testB, b]) => testA - testB
      || sign * (numeric ? Number(a) - Number(b) : compare(a, b)));
    body.append(...keyed.map(([, , row]) => row));
  };
  heads.forEach((head) => head.firstElementChild.addEventListener("click", () => sort(head)));

  /* a row in full, beside the table */
  const drawer = find("drawer");
  const open = (id) => {
    const run = find(id);
    if (!run) return;
    const content = run.querySelector(".body").cloneNode(true);
    find("drawer-title").textContent = run.firstElementChild.textContent;
    find("drawer-body").replaceChildren(content);
    content.querySelectorAll("svg.classes").forEach(readable);
    drawer.showModal();
    drawer.scrollTop = 0;
  };
  body.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    history.replaceState(null, "", link.hash);
    open(link.hash.slice(1));
  });
  find("close").addEventListener("click", () => drawer.close());
  drawer.addEventListener("click", (event) => { if (event.target === drawer) drawer.close(); });
  drawer.addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));

  /* the class under the pointer, or reached by the arrow keys */
  const names = JSON.parse(find("class-names").textContent);
  function readable(figure) {
    const bars = figure.dataset.bars.split(" ").map((bar) => bar.split(":").map(Number));
    const [left, unit, gap, unseen] = ["left", "unit", "gap", "unseen"].map((name) => Number(figure.dataset[name]));
    const readout = document.createElement("output");
    readout.className = "readout";
    figure.after(readout);
    let place = -1;
    const show = (next) => {
      place = Math.max(0, Math.min(bars.length - 1, next));
      const [number, value] = bars[place];
      const side = place < unseen ? "unseen" : "seen";
      readout.textContent = `${names[figure.dataset.names][number]}: ${value.toFixed(1)} % (${side})`;
    };
    figure.addEventListener("pointermove", (event) => {
      const box = figure.getBoundingClientRect();
      const x = (event.clientX - box.left) * (figure.viewBox.baseVal.width / box.width) - left;
      show(Math.floor((x < unit * unseen ? x : x - gap) / unit));
    });
    figure.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      show(place + step);
    });
  }
  if (location.hash) open(location.hash.slice(1));
})();
