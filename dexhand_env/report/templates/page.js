// The page's own behaviour: charts, replay, episode table. Data come from #payload; text is only ever set as text.
(() => {
  "use strict";
  const payload = JSON.parse(document.getElementById("payload").textContent);

  drawCharts(payload.charts);

  // ---- replay -------------------------------------------------------------------------------------------------
  // Runs inside the player's frame, hence self-contained: names its unnamed controls and adds the stepping keys.
  function assist() {
    const STEP_S = 0.05;
    const slider = () => document.querySelector("[role=slider]");
    addEventListener("keydown", (event) => {
      if ((event.key !== "," && event.key !== ".") || !slider()) return;
      const input = document.querySelector("input[inputmode]");
      const now = Number(slider().getAttribute("aria-valuenow"));
      const then = Math.max(0, now + (event.key === "." ? STEP_S : -STEP_S));
      Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(input, then.toFixed(3));
      input.dispatchEvent(new Event("input", { bubbles: true }));
      input.blur(); // the field takes the focus when it is set, and the player ignores the space bar in a field
      event.preventDefault();
    });
    const watch = new MutationObserver(() => {
      if (!slider()) return;
      watch.disconnect();
      const names = [
        ["button:not([aria-label])", "Play or pause"],
        ["[role=slider]", "Time in seconds"],
        ["input[inputmode]", "Time in seconds"],
        [".mantine-Select-input", "Playback speed"],
      ];
      for (const [selector, name] of names) document.querySelector(selector)?.setAttribute("aria-label", name);
    });
    watch.observe(document, { childList: true, subtree: true });
  }

  const stage = document.getElementById("stage");
  const choices = [...document.querySelectorAll("[data-scene]")];
  const chosen = () => choices.find((button) => button.getAttribute("aria-pressed") === "true");
  let started = false;

  function play() {
    started = true;
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    // The recording is base64, so it can stand in a script as it is.
    const inject =
      `<script>window.__VISER_EMBED_DATA__="${payload.scenes[chosen().dataset.scene]}";` +
      `window.__VISER_EMBED_CONFIG__={darkMode:${dark}};(${assist})();</` + `script>` +
      // The player's notices (slow graphics and the like) cover the hand and tell a reader nothing.
      `<style>.mantine-Notifications-root{display:none}</style>`;
    const end = payload.client.indexOf("</head>");
    const frame = document.createElement("iframe");
    frame.title = `Replay: ${chosen().textContent}`;
    frame.srcdoc = payload.client.slice(0, end) + inject + payload.client.slice(end);
    stage.replaceChildren(frame);
  }

  if (stage) {
    for (const button of choices) {
      button.addEventListener("click", () => {
        for (const other of choices) other.setAttribute("aria-pressed", String(other === button));
        play();
      });
    }
    document.getElementById("start").addEventListener("click", play);
    // The player starts when it comes into view, but never against a reader's wish for less motion.
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) {
      const seen = new IntersectionObserver((entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        seen.disconnect();
        if (!started) play();
      }, { threshold: 0.25 });
      seen.observe(stage);
    }
  }

  // ---- episode table ------------------------------------------------------------------------------------------
  if (payload.episodes === null) return;
  const { columns, rows, total, shown } = payload.episodes;
  const table = document.getElementById("table");
  const filters = new Map();
  let order = null; // {index, down}; null is the order the page came with: failures first

  const element = (tag, text, attributes = {}) => {
    const made = document.createElement(tag);
    if (text !== null) made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const written = (value) =>
    value === null ? "–" : typeof value === "number" ? value.toLocaleString("en", { maximumSignificantDigits: 7 }).replace("-", "−") : String(value);
  const compare = (a, b) => {
    if (a === b) return 0;
    if (a === null) return 1;
    if (b === null) return -1;
    return a < b ? -1 : 1;
  };

  function draw() {
    let kept = rows.filter((row) => [...filters].every(([index, value]) => String(row[index]) === value));
    if (order) {
      const { index, down } = order;
      kept = [...kept].sort((a, b) => (down ? -1 : 1) * compare(a[index], b[index]));
    }
    const body = table.tBodies[0];
    body.replaceChildren(
      ...kept.slice(0, shown).map((row) => {
        const line = document.createElement("tr");
        row.forEach((value, index) => line.append(element("td", written(value), columns[index].number ? { class: "n" } : {})));
        return line;
      }),
    );
    const many = (count) => count.toLocaleString("en");
    const limit = rows.length < total ? ` The page holds ${many(rows.length)} of ${many(total)} episodes, failures and low returns first.` : "";
    const first = kept.length > shown ? `, the first ${shown} shown` : "";
    document.getElementById("count").textContent =
      `${many(kept.length)} episodes${first}, ${order ? "sorted by " + columns[order.index].label : "failures first"}.${limit}`;
    table.tHead.querySelectorAll("th").forEach((head, index) => {
      const state = order && order.index === index ? (order.down ? "descending" : "ascending") : "none";
      head.setAttribute("aria-sort", state);
    });
  }

  const heads = document.createElement("tr");
  columns.forEach((column, index) => {
    const head = element("th", null, { scope: "col", ...(column.number ? { class: "n" } : {}) });
    const button = element("button", column.label, { type: "button" });
    button.addEventListener("click", () => {
      order = { index, down: order !== null && order.index === index && !order.down };
      draw();
    });
    head.append(button);
    heads.append(head);
    if (!column.choice) return;
    const values = [...new Set(rows.map((row) => String(row[index])))];
    const label = element("label", column.label + " ");
    const select = document.createElement("select");
    select.append(element("option", "all", { value: "" }), ...values.map((value) => element("option", value)));
    // The placeholder's empty value cannot be mistaken for a name: choices are matched by position.
    select.addEventListener("change", () => {
      if (select.selectedIndex === 0) filters.delete(index);
      else filters.set(index, values[select.selectedIndex - 1]);
      draw();
    });
    label.append(select);
    document.getElementById("filters").append(label);
  });
  table.tHead.append(heads);
  draw();
})();
