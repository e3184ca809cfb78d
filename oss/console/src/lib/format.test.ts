import { describe, expect, it } from "vitest";
import { duration, microseconds, plural, portOf, rate, size, speed } from "./format";

describe("rate", () => {
  it("keeps three significant digits and steps up the unit before it would show 1000", () => {
    expect(rate(0)).toBe("0 bit/s");
    expect(rate(999)).toBe("999 bit/s");
    expect(rate(999.6)).toBe("1.00 kbit/s");
    expect(rate(12_345)).toBe("12.3 kbit/s");
    expect(rate(9_996)).toBe("10.0 kbit/s");
    expect(rate(123_456_789)).toBe("123 Mbit/s");
    expect(rate(999_600_000)).toBe("1.00 Gbit/s");
  });
  it("shows what is not known as a dash", () => {
    expect(rate(null)).toBe("–");
    expect(rate(undefined)).toBe("–");
  });
});

describe("speed", () => {
  it("has no needless zeros", () => {
    expect(speed(250_000)).toBe("250 Mbit/s");
    expect(speed(1_000_000)).toBe("1 Gbit/s");
    expect(speed(2_500)).toBe("2.5 Mbit/s");
  });
});

describe("size", () => {
  it("is decimal", () => expect(size(1_500_000)).toBe("1.50 MB"));
});

describe("duration", () => {
  it("shows the two largest units", () => {
    expect(duration(5)).toBe("5 s");
    expect(duration(125)).toBe("2 min 5 s");
    expect(duration(3 * 3600 + 60)).toBe("3 h 1 min");
    expect(duration(86400 * 2)).toBe("2 d 0 h");
    expect(duration(-3)).toBe("0 s");
  });
});

describe("others", () => {
  it("formats microseconds, plurals and ports", () => {
    expect(microseconds(850)).toBe("850 µs");
    expect(microseconds(1500)).toBe("1.5 ms");
    expect(plural(1, "session")).toBe("1 session");
    expect(plural(1200, "session")).toBe("1,200 sessions");
    expect(portOf("1/0/12")).toBe("12");
    expect(portOf("eth 7")).toBe("eth 7");
  });
});
