// Small comforts; every page works without them.
(() => {
  const root = document.documentElement;
  const theme = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const store = (() => { try { return localStorage; } catch { return null; } })();
  const shown = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const label = () => { theme.textContent = shown() === "dark" ? "Light" : "Dark"; };
  const saved = store && store.getItem("theme");
  if (saved === "dark" || saved === "light") root.dataset.theme = saved;
  theme.hidden = false;
  theme.addEventListener("click", () => {
    root.dataset.theme = shown() === "dark" ? "light" : "dark";
    if (store) store.setItem("theme", root.dataset.theme);
    label();
  });
  dark.addEventListener("change", label);
  label();

  const live = document.getElementById("live");
  const controls = document.getElementById("live-controls");
  if (!live || !controls) return;
  const pause = document.getElementById("pause");
  const state = document.getElementById("live-state");
  const news = document.getElementById("news");
  let told = document.getElementById("spend")?.textContent;
  let paused = false;
  controls.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    state.textContent = paused ? "Paused" : "Refreshing every 5 s";
    controls.classList.toggle("paused", paused);
  });
  const busy = () => paused || document.hidden || live.contains(document.activeElement) || !getSelection().isCollapsed;
  setInterval(async () => {
    if (busy()) return;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
      if (!fresh || busy()) return;
      const open = [...live.querySelectorAll("details")].map((one) => one.open);
      fresh.querySelectorAll("details").forEach((one, index) => { one.open = Boolean(open[index]); });
      const scrolled = [...live.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
      live.replaceChildren(...fresh.childNodes);
      live.querySelectorAll(".scroll").forEach((one, index) => { one.scrollLeft = scrolled[index] || 0; });
      const spend = document.getElementById("spend")?.textContent;
      if (spend && spend !== told) { news.textContent = `Spend is now ${spend}`; told = spend; }
      state.textContent = "Refreshing every 5 s";
    } catch {
      state.textContent = "No answer; trying again";
    }
  }, 5000);
})();
// Files dropped anywhere on the upload form are chosen in its file field.
(() => {
  const drop = document.getElementById("drop");
  if (!drop) return;
  const field = document.getElementById("files");
  const over = (event) => { event.preventDefault(); drop.classList.add("over"); };
  drop.addEventListener("dragenter", over);
  drop.addEventListener("dragover", over);
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (!event.dataTransfer.files.length) return;
    field.files = event.dataTransfer.files;
    drop.requestSubmit();
  });
})();
