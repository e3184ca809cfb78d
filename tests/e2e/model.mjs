// Looks through docs/yang/model.html in Chromium as a person would, and prints what was seen as JSON.
// usage: node model.mjs '{"url", "folder"}'
import { chromium } from "../../oss/console/node_modules/playwright-core/index.mjs";

const options = JSON.parse(process.argv[2]);
const seen = { errors: [], requests: [] };
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
const page = await browser.newPage({ viewport: { width: 1300, height: 850 } });
page.setDefaultTimeout(20_000);
page.on("pageerror", (error) => seen.errors.push(error.message));
page.on("console", (message) => {
  if (message.type() === "error") seen.errors.push(message.text());
});
page.on("request", (request) => seen.requests.push(request.url()));
const rows = () => page.locator(".row").count();
const details = () => page.locator("#detail").innerText();

await page.goto(options.url);
seen.modules = await rows();

await page.locator('.row[data-path="aether-bng"]').click();
seen.expanded = await rows();
await page.keyboard.press("ArrowDown");
await page.keyboard.press("ArrowRight");
seen.byKeys = await page.locator(".row.chosen").getAttribute("data-path");
seen.deeper = await rows();
await page.locator('.row[data-path="aether-bng"]').click();
seen.collapsed = await rows();

await page.getByLabel("Search").fill("shared secret");
seen.count = await page.getByRole("status").innerText();
await page.locator('.row[data-path="/aether-bng:bng/aaa/server/secret"]').click();
seen.secret = await details();
seen.denied = await page.locator(".row.chosen .deny").innerText();
await page.screenshot({ path: `${options.folder}/search.png` });

await page.getByLabel("Search").fill("no such words");
seen.none = [await rows(), await page.getByRole("status").innerText()];
await page.getByLabel("Search").fill("");
await page.getByRole("button", { name: "Collapse all" }).click();
seen.closed = await rows();
await page.getByRole("button", { name: "Expand all" }).click();
seen.open = await rows();
seen.all = await page.getByRole("status").innerText();

await page.goto(`${options.url}#${encodeURIComponent("/aether-subscriber:sessions/session/counters/in-octets")}`);
await page.reload();
seen.linked = await details();
await page.goto(`${options.url}#${encodeURIComponent("/aether-shaping:shaping-profiles/profile/download/rate")}`);
await page.reload();
seen.typed = await details();
await browser.close();
console.log(JSON.stringify(seen));
