/** Numbers and times as people read them. Rates are decimal (SI), as networks count. */

const RATE_UNITS = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"] as const;
const SIZE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

function scaled(value: number, units: readonly string[]): [string, string] {
  let n = value;
  let unit = 0;
  while (n >= 999.5 && unit < units.length - 1) {
    n /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || n >= 99.95 ? 0 : n >= 9.995 ? 1 : 2;
  return [n.toFixed(digits), units[unit] ?? ""];
}

/** Number and unit of a rate in bit/s, apart, so that a table can align both. */
export function rateParts(bitsPerSecond: number): [string, string] {
  return scaled(Math.max(0, bitsPerSecond), RATE_UNITS);
}

export function rate(bitsPerSecond: number | null | undefined): string {
  if (bitsPerSecond == null) return "–";
  return rateParts(bitsPerSecond).join(" ");
}

/** A plan's speed: without needless zeros. */
export function speed(kbps: number): string {
  const [number, unit] = scaled(kbps * 1000, RATE_UNITS);
  return `${number.includes(".") ? number.replace(/\.?0+$/, "") : number} ${unit}`;
}

export function size(octets: number | null | undefined): string {
  if (octets == null) return "–";
  return scaled(octets, SIZE_UNITS).join(" ");
}

export function count(n: number): string {
  return n.toLocaleString("en-GB");
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** Seconds as the two largest units: "3 d 4 h", "12 min 5 s". */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const days = Math.floor(s / 86400);
  const hours = Math.floor((s % 86400) / 3600);
  const minutes = Math.floor((s % 3600) / 60);
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  if (minutes) return `${minutes} min ${s % 60} s`;
  return `${s} s`;
}

export function since(time: string | null | undefined, now = Date.now()): string {
  return time == null ? "–" : duration((now - Date.parse(time)) / 1000);
}

const clock = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const dayAndClock = new Intl.DateTimeFormat("en-GB", {
  day: "2-digit",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

/** Today's times without the date. */
export function timeOf(time: string | null | undefined, now = new Date()): string {
  if (time == null) return "–";
  const date = new Date(time);
  return (date.toDateString() === now.toDateString() ? clock : dayAndClock).format(date);
}

export function fullTime(time: string | null | undefined): string {
  return time == null ? "–" : new Date(time).toLocaleString("en-GB");
}

export function microseconds(us: number | null | undefined): string {
  if (us == null) return "–";
  return us < 1000 ? `${us} µs` : `${(us / 1000).toFixed(us < 10_000 ? 1 : 0)} ms`;
}

export function price(amount: number): string {
  return amount.toLocaleString("en-GB", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
}

/** "1/0/7" → "7": the port of the lab's circuit-ids; others as they are. */
export function portOf(circuitId: string | null | undefined): string {
  return circuitId?.match(/^1\/0\/(\d+)$/)?.[1] ?? circuitId ?? "–";
}
