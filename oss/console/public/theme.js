// Before the first paint, so that a dark screen never flashes white.
(() => {
  let choice = null;
  try {
    choice = localStorage.getItem("theme");
  } catch {
    // storage may be forbidden; the system's preference holds then
  }
  const dark = choice ? choice === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
