/** Charts: uPlot for time series, an SVG path for sparklines. */
import { useEffect, useRef, useState } from "react";
import uPlot from "uplot";
import { rate } from "../lib/format";

export interface RatePoint {
  /** Milliseconds since the epoch. */
  time: number;
  inRate: number | null;
  outRate: number | null;
}

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function fade(plot: uPlot, hex: string): CanvasGradient {
  const gradient = plot.ctx.createLinearGradient(
    0,
    plot.bbox.top,
    0,
    plot.bbox.top + plot.bbox.height,
  );
  gradient.addColorStop(0, `${hex}40`);
  gradient.addColorStop(1, `${hex}00`);
  return gradient;
}

function useTheme(): string {
  const [theme, setTheme] = useState(document.documentElement.dataset.theme ?? "light");
  useEffect(() => {
    const observer = new MutationObserver(() =>
      setTheme(document.documentElement.dataset.theme ?? "light"),
    );
    observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => observer.disconnect();
  }, []);
  return theme;
}

function columns(points: readonly RatePoint[]): uPlot.AlignedData {
  return [
    points.map((point) => point.time / 1000),
    points.map((point) => point.outRate),
    points.map((point) => point.inRate),
  ];
}

/** Download and upload over time; the legend follows the cursor. */
export function RateChart({
  points,
  height = 220,
  label,
}: {
  points: readonly RatePoint[];
  height?: number;
  label: string;
}) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const data = useRef(points);
  data.current = points;
  const [at, setAt] = useState<number | null>(null);
  const theme = useTheme();

  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are read anew when the theme changes
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const axis: uPlot.Axis = {
      stroke: colour("--faint"),
      font: "11px Inter Variable, sans-serif",
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { show: false },
    };
    const line = (name: string): uPlot.Series => ({
      stroke: colour(name),
      width: 1.75,
      fill: (self) => fade(self, colour(name)),
      points: { show: false },
    });
    const chart = new uPlot(
      {
        width: Math.max(element.clientWidth, 100),
        height,
        legend: { show: false },
        cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
        scales: { y: { range: (_, __, max) => [0, Math.max(max * 1.08, 1000)] } },
        axes: [
          {
            ...axis,
            grid: { show: false },
            size: 30,
            values: (_, splits) =>
              splits.map((s) =>
                new Date(s * 1000).toLocaleTimeString("en-GB", {
                  hour: "2-digit",
                  minute: "2-digit",
                }),
              ),
            space: 70,
          },
          {
            ...axis,
            size: 78,
            values: (_, splits) => splits.map((s) => (s === 0 ? "0" : rate(s))),
          },
        ],
        series: [{}, line("--down"), line("--up")],
        hooks: { setCursor: [(self) => setAt(self.cursor.idx ?? null)] },
      },
      columns(data.current),
      element,
    );
    plot.current = chart;
    const observer = new ResizeObserver(() =>
      chart.setSize({ width: Math.max(element.clientWidth, 100), height }),
    );
    observer.observe(element);
    return () => {
      observer.disconnect();
      chart.destroy();
      plot.current = null;
    };
  }, [height, theme]);

  useEffect(() => {
    plot.current?.setData(columns(points));
  }, [points]);

  const shown = at == null ? points.at(-1) : points[at];
  return (
    <figure aria-label={label} className="px-2 pb-2">
      <figcaption className="num flex h-6 items-center gap-4 px-2 text-[12.5px]">
        <Key name="Download" tint="var(--down)" value={shown?.outRate} />
        <Key name="Upload" tint="var(--up)" value={shown?.inRate} />
        <span className="ml-auto text-faint">
          {shown ? new Date(shown.time).toLocaleTimeString("en-GB") : ""}
        </span>
      </figcaption>
      <div ref={box} style={{ height }} />
    </figure>
  );
}

function Key({ name, tint, value }: { name: string; tint: string; value?: number | null }) {
  return (
    <span className="flex items-center gap-1.5">
      <span className="h-0.5 w-3 rounded" style={{ background: tint }} aria-hidden />
      <span className="text-soft">{name}</span>
      <span className="min-w-20 font-medium">{rate(value)}</span>
    </span>
  );
}

/** A line without axes: the shape, not the numbers. */
export function Sparkline({
  values,
  width = 72,
  height = 20,
  tint = "var(--down)",
}: {
  values: readonly number[];
  width?: number;
  height?: number;
  tint?: string;
}) {
  if (values.length < 2) return <svg width={width} height={height} aria-hidden="true" />;
  const top = Math.max(...values, 1);
  const step = width / (values.length - 1);
  const path = values
    .map(
      (value, n) =>
        `${(n * step).toFixed(1)},${(height - 1.5 - (value / top) * (height - 3)).toFixed(1)}`,
    )
    .join("L");
  return (
    <svg width={width} height={height} aria-hidden="true" className="block">
      <path d={`M0,${height}L${path}L${width},${height}Z`} fill={tint} opacity={0.12} />
      <path d={`M${path}`} fill="none" stroke={tint} strokeWidth={1.4} strokeLinejoin="round" />
    </svg>
  );
}
