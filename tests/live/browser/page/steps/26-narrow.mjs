// Every page at 320 px, light and dark: nothing is wider than the window, axe finds nothing serious.
import { signedIn } from "../sip.mjs";

const PAGES = ["/now", "/calls", "/debug", "/flows", "/numbers", "/people/users", "/people/devices", "/trunks", "/media", "/documents", "/webhooks", "/phone", "/settings"];

/** The page has its heading and has stopped asking. */
async function settled(t) {
  await t.page.locator("main h1").first().waitFor();
  await t.page.waitForLoadState("networkidle").catch(() => undefined);
}

async function examined(t, path) {
  await t.go(path);
  await settled(t);
  for (const colorScheme of ["light", "dark"]) {
    await t.page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await t.examine(`${path}, narrow, ${colorScheme}`);
  }
  const wide = await t.page.evaluate(() => ({
    page: document.documentElement.scrollWidth,
    // What scrolls by itself may be wider.
    who: [...document.querySelectorAll("main *")].filter((each) => each.getBoundingClientRect().right > 321 && !each.closest(".scroll, .list, table, .compare, pre, .code, .ladder, .strip, [role=tree], [role=listbox], .tabs")).slice(0, 5).map((each) => `${each.tagName}.${each.className}`),
  }));
  if (wide.page > 320) t.kept.wide.push(`${path}: ${wide.page} px, ${wide.who.join(", ")}`);
}

export const steps = [
  [
    "no page is wider than a narrow window, in light or dark",
    async (t) => {
      await signedIn(t);
      t.kept.wide = [];
      await t.page.setViewportSize({ width: 320, height: 720 });
      try {
        for (const path of PAGES) await examined(t, path);
        const flows = (await t.api("callflows?paginate=false")).data;
        await examined(t, `/flows/${flows.find((flow) => flow.numbers?.includes("200")).id}`);
        const devices = (await t.api("devices?paginate=false")).data;
        await examined(t, `/people/devices/${devices[0].id}`);
        const calls = (await t.api("cdrs?page_size=5")).data;
        for (const call of calls.slice(0, 2)) await examined(t, `/calls/${encodeURIComponent(call.call_id)}`);
        t.assert.deepEqual(t.kept.wide, []);
      } finally {
        await t.page.emulateMedia({ colorScheme: "light" });
        await t.page.setViewportSize({ width: 1440, height: 900 });
      }
    },
  ],
  [
    "the first keys lead past the rail, and every page of it is reached by keyboard",
    async (t) => {
      await t.go("/now");
      await t.page.getByRole("heading", { name: "Now", exact: true }).waitFor();
      for (const name of ["Calls", "Debug", "Callflows", "Numbers", "People", "Trunks", "Media", "Documents", "Phone", "Settings"]) {
        const link = t.page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name, exact: true });
        await link.focus();
        await t.page.keyboard.press("Enter");
        await t.until(`${name} is shown`, async () => (await link.getAttribute("aria-current")) === "page");
      }
      await t.go("/phone");
      await t.page.locator("section.phone header .tag", { hasText: "Ready" }).waitFor();
      // Digits typed anywhere in the panel are keys of the pad.
      await t.page.locator("section.phone").getByRole("button", { name: "1", exact: true }).focus();
      await t.page.keyboard.type("00");
      await t.page.keyboard.press("Enter");
      await t.until("the number", async () => /^001$/.test(await t.page.getByLabel("Number or name").inputValue()));
      await t.page.getByLabel("Number or name").fill("100");
      await t.page.keyboard.press("Enter");
      await t.page.getByText(/connected \d\d:/).waitFor();
      await t.heard(t.page);
      await t.page.getByRole("button", { name: "Hang up" }).focus();
      await t.page.keyboard.press("Enter");
      await t.page.locator("section.phone header .tag", { hasText: "Ready" }).waitFor();
    },
  ],
];
