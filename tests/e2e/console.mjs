// Drives the console in Chromium as a person would, and prints what was seen as JSON.
// usage: node console.mjs '{"url", "username", "password", "folder", "writes"}'
import { chromium } from "../../oss/console/node_modules/playwright-core/index.mjs";

const options = JSON.parse(process.argv[2]);
const seen = { errors: [] };
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
page.setDefaultTimeout(options.patience ?? 20_000);
page.on("pageerror", (error) => seen.errors.push(error.message));
page.on("console", (message) => {
  // a 401 is how the page finds out that nobody is logged in
  if (message.type() === "error" && !message.text().includes("401")) seen.errors.push(message.text());
});

const rates = () =>
  page.$$eval("tr[data-session]", (rows) =>
    Object.fromEntries(
      rows.map((row) => [row.dataset.session, row.querySelector("[data-rate=down]").innerText]),
    ),
  );
const rows = () => page.locator("tr[data-session]").count();

async function login() {
  await page.goto(`${options.url}/sessions`);
  await page.getByLabel("User name").fill(options.username);
  await page.getByLabel("Password").fill("not the password");
  await page.getByRole("button", { name: "Log in" }).click();
  seen.refusal = await page.getByRole("alert").innerText();
  await page.getByLabel("Password").fill(options.password);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { name: "Live sessions" }).waitFor();
}

async function liveSessions() {
  await page.locator("tr[data-session]").first().waitFor();
  seen.sessions = await rows();
  seen.ratesBefore = await rates();
  await page.waitForFunction(
    (before) =>
      [...document.querySelectorAll("tr[data-session]")].some((row) => {
        const earlier = before[row.dataset.session];
        return earlier && earlier !== row.querySelector("[data-rate=down]").innerText;
      }),
    seen.ratesBefore,
    { timeout: options.patience ?? 20_000 },
  );
  seen.ratesAfter = await rates();
}

async function searchAndDrawer() {
  const first = page.locator("tr[data-session]").first();
  const address = await first.locator("td").nth(3).innerText();
  await page.getByLabel("Search sessions").fill(address);
  await page.waitForFunction(
    (text) =>
      [...document.querySelectorAll("tr[data-session]")].every((row) => row.innerText.includes(text)),
    address,
  );
  seen.found = await rows();
  seen.address = page.url();
  await page.locator("tr[data-session]").first().focus();
  await page.keyboard.press("Enter");
  const drawer = page.getByRole("dialog");
  await drawer.getByText("Session id").waitFor();
  seen.drawer = await drawer.innerText();
  await drawer.locator("canvas").waitFor();
  await page.screenshot({ path: `${options.folder}/drawer.png` });
  await page.keyboard.press("Escape");
  await drawer.waitFor({ state: "detached" });
}

async function darkAndLight() {
  const before = await page.evaluate(() => document.documentElement.dataset.theme);
  await page.getByRole("button", { name: /theme/ }).click();
  const after = await page.evaluate(() => document.documentElement.dataset.theme);
  await page.reload();
  await page.locator("tr[data-session]").first().waitFor();
  seen.themes = [before, after, await page.evaluate(() => document.documentElement.dataset.theme)];
}

async function newService() {
  await page.getByRole("link", { name: "Services" }).click();
  await page.getByRole("button", { name: "New service" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Search customers").fill("turing");
  await dialog.getByRole("button", { name: /Alan Turing/ }).click();
  await dialog.getByRole("button", { name: /^gold/ }).click();
  await dialog.getByLabel("Access node").selectOption({ index: 1 });
  seen.occupied = await dialog.getByRole("button", { name: /^Port 1:/ }).isDisabled();
  await dialog.getByRole("button", { name: /^Port 4:/ }).click();
  await page.screenshot({ path: `${options.folder}/new-service.png` });
  await dialog.getByRole("button", { name: "Create service" }).click();
  await dialog.waitFor({ state: "detached" });
  await page.getByRole("row", { name: /Alan Turing.*an-01 port 4/ }).waitFor();
  seen.service = await page.getByRole("row", { name: /Alan Turing/ }).innerText();
}

try {
  await login();
  await liveSessions();
  await page.screenshot({ path: `${options.folder}/sessions.png` });
  await searchAndDrawer();
  await darkAndLight();
  if (options.writes) await newService();
} catch (error) {
  seen.failure = String(error);
  await page.screenshot({ path: `${options.folder}/failure.png` });
} finally {
  await browser.close();
  process.stdout.write(JSON.stringify(seen));
}
