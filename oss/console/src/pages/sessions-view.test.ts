import { describe, expect, it } from "vitest";
import type { Session } from "../api/client";
import { sessionsSearch, visibleSessions } from "./sessions-view";

const make = (id: string, more: Partial<Session>): Session =>
  ({
    bng_id: "bng-01",
    session_id: id,
    status: "active",
    username: `bng-01/an-01/1/0/${id}`,
    ...more,
  }) as Session;

const all = [
  make("1", { ip_address: "10.0.0.9", out_rate: 5, customer_name: "Grace Hopper" }),
  make("2", {
    ip_address: "10.0.0.10",
    out_rate: 5,
    status: "idle",
    customer_name: "Ada Lovelace",
  }),
  make("3", { ip_address: "10.0.0.2", out_rate: 90, bng_id: "bng-02" }),
  make("4", { ip_address: null, out_rate: null, status: "rejected" }),
];
const ids = (sessions: Session[]) => sessions.map((session) => session.session_id).join("");

describe("visibleSessions", () => {
  it("starts with the busiest, and keeps equal rates in a fixed order", () => {
    expect(ids(visibleSessions(all, {}))).toBe("3124");
    expect(ids(visibleSessions([...all].reverse(), {}))).toBe("3124");
  });
  it("sorts addresses by number", () => {
    expect(ids(visibleSessions(all, { sort: "address" }))).toBe("4312");
    expect(ids(visibleSessions(all, { sort: "address", order: "desc" }))).toBe("2134");
  });
  it("sorts sessions without a customer last", () => {
    expect(ids(visibleSessions(all, { sort: "customer" })).slice(0, 2)).toBe("21");
  });
  it("finds all words, in any field and order", () => {
    expect(ids(visibleSessions(all, { q: "hopper an-01" }))).toBe("1");
    expect(ids(visibleSessions(all, { q: "10.0.0.1 ADA" }))).toBe("2");
    expect(ids(visibleSessions(all, { q: "hopper ada" }))).toBe("");
  });
  it("filters by status and BNG", () => {
    expect(ids(visibleSessions(all, { status: "rejected" }))).toBe("4");
    expect(ids(visibleSessions(all, { bng: "bng-02" }))).toBe("3");
  });
});

describe("sessionsSearch", () => {
  it("drops what makes no sense", () => {
    expect(sessionsSearch({ sort: "nonsense", order: 3, q: 17, status: "" })).toEqual({
      q: "17",
      status: undefined,
      bng: undefined,
      sort: undefined,
      order: undefined,
      open: undefined,
    });
  });
});
