import { Search } from "lucide-react";
import { useEffect, useState } from "react";
import { cx, Input } from "./ui";

/** A search box that waits until the typing pauses. */
export function SearchBox({
  label,
  value,
  onChange,
  className,
}: {
  label: string;
  value: string | undefined;
  onChange: (value: string | undefined) => void;
  className?: string;
}) {
  const [text, setText] = useState(value ?? "");
  useEffect(() => setText(value ?? ""), [value]);
  useEffect(() => {
    if (text === (value ?? "")) return;
    const timer = setTimeout(() => onChange(text || undefined), 250);
    return () => clearTimeout(timer);
  }, [text, value, onChange]);
  return (
    <div className={cx("relative w-64 max-w-full", className)}>
      <Search className="pointer-events-none absolute top-2.5 left-2.5 size-4 text-faint" />
      <Input
        type="search"
        aria-label={label}
        placeholder={label}
        className="w-full pl-8.5"
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
    </div>
  );
}
