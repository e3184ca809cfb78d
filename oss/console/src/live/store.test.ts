import { describe, expect, it } from "vitest";
import type { JournalEvent, Session } from "../api/client";
import { keyOf, LiveStore, TRAIL } from "./store";

const session = (id: string, more: Partial<Session> = {}): Session =>
  ({
    bng_id: "b",
    session_id: id,
    in_octets: 0,
    out_octets: 0,
    status: "active",
    ...more,
  }) as Session;

const filled = (...ids: string[]): LiveStore => {
  const store = new LiveStore((run) => run());
  store.snapshot({ first: true, last: true, ready: true, sessions: ids.map((id) => session(id)) });
  return store;
};

describe("LiveStore", () => {
  it("shows a snapshot only when all of its parts are there", () => {
    const store = filled("old");
    store.snapshot({ first: true, last: false, ready: true, sessions: [session("1")] });
    expect([...store.sessions.keys()]).toEqual([keyOf("b", "old")]);
    store.snapshot({ first: false, last: true, ready: true, sessions: [session("2")] });
    expect([...store.sessions.keys()]).toEqual([keyOf("b", "1"), keyOf("b", "2")]);
  });

  it("adds, replaces and removes sessions", () => {
    const store = filled("1", "2");
    store.change({ bng_id: "b", upsert: [session("1", { status: "idle" })], remove: ["2"] });
    expect(store.sessions.get(keyOf("b", "1"))?.status).toBe("idle");
    expect(store.sessions.size).toBe(1);
  });

  it("makes new objects for new rates, so that rows know that they changed", () => {
    const store = filled("1");
    const before = store.sessions.get(keyOf("b", "1"));
    store.rates({ bng_id: "b", rows: [["1", 8, 16, 100, 200, 3, 4]] });
    const after = store.sessions.get(keyOf("b", "1"));
    expect(after).not.toBe(before);
    expect(after).toMatchObject({ in_rate: 8, out_rate: 16, in_octets: 100, out_octets: 200 });
    expect(after).toMatchObject({ in_discards: 3, out_discards: 4 });
  });

  it("keeps a bounded trail and ignores rates of unknown sessions", () => {
    const store = filled("1");
    for (let n = 0; n < TRAIL + 10; n += 1) {
      store.rates({
        bng_id: "b",
        rows: [
          ["1", 0, n, 0, 0, 0, 0],
          ["ghost", 1, 1, 1, 1, 1, 1],
        ],
      });
    }
    const trail = store.trails.get(keyOf("b", "1")) ?? [];
    expect(trail).toHaveLength(TRAIL);
    expect(trail.at(-1)).toBe(TRAIL + 9);
    expect(store.sessions.size).toBe(1);
  });

  it("adds up the BNGs, and takes reports of one moment as one point", () => {
    const store = new LiveStore((run) => run());
    store.totals({ a: [1, 10], b: [2, 20] }, 1000);
    store.totals({ a: [2, 10], b: [2, 20] }, 1500);
    store.totals({ a: [5, 5] }, 9000);
    expect(store.traffic).toEqual([
      { time: 1500, inRate: 4, outRate: 30 },
      { time: 9000, inRate: 5, outRate: 5 },
    ]);
  });

  it("keeps the newest events first, and not all of them", () => {
    const store = new LiveStore((run) => run());
    const event = (seq: number) => ({ bng_id: "b", seq }) as JournalEvent;
    for (let seq = 0; seq < 100; seq += 2) store.happened([event(seq), event(seq + 1)]);
    expect(store.events[0]?.seq).toBe(99);
    expect(store.events).toHaveLength(50);
  });

  it("tells of many changes at once only once", () => {
    const waiting: (() => void)[] = [];
    const store = new LiveStore((run) => waiting.push(run));
    let told = 0;
    store.subscribe(() => {
      told += 1;
    });
    store.totals({ a: [1, 1] });
    store.totals({ a: [2, 2] });
    expect([told, store.version, waiting.length]).toEqual([0, 0, 1]);
    waiting.pop()?.();
    store.totals({ a: [3, 3] });
    expect([told, store.version, waiting.length]).toEqual([1, 1, 1]);
  });

  it("tells its subscribers", () => {
    const store = new LiveStore((run) => run());
    let told = 0;
    const stop = store.subscribe(() => {
      told += 1;
    });
    store.setState("live");
    store.setState("live");
    stop();
    store.setState("lost");
    expect(told).toBe(1);
  });
});
