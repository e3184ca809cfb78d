/** Short messages about what was just done. */
import { CircleAlert, CircleCheck } from "lucide-react";
import { createContext, type ReactNode, useCallback, useContext, useRef, useState } from "react";
import { cx } from "./ui";

interface Toast {
  id: number;
  tone: "good" | "bad";
  text: string;
}
type Show = (text: string, tone?: Toast["tone"]) => void;

const Context = createContext<Show>(() => {});
export const useToast = (): Show => useContext(Context);

export function Toasts({ children }: { children: ReactNode }) {
  const [toasts, setToasts] = useState<Toast[]>([]);
  const next = useRef(0);
  const show = useCallback<Show>((text, tone = "good") => {
    next.current += 1;
    const id = next.current;
    setToasts((shown) => [...shown.slice(-3), { id, tone, text }]);
    setTimeout(
      () => setToasts((shown) => shown.filter((toast) => toast.id !== id)),
      tone === "bad" ? 9000 : 4500,
    );
  }, []);
  return (
    <Context.Provider value={show}>
      {children}
      <div
        aria-live="polite"
        className="pointer-events-none fixed bottom-4 left-1/2 z-[60] flex -translate-x-1/2 flex-col items-center gap-2"
      >
        {toasts.map((toast) => (
          <div
            key={toast.id}
            className="appear pointer-events-auto flex max-w-lg items-start gap-2 rounded-xl border border-line bg-panel px-4 py-2.5 text-[13px] shadow-xl"
          >
            {toast.tone === "good" ? (
              <CircleCheck className="mt-px size-4 shrink-0 text-good" />
            ) : (
              <CircleAlert className="mt-px size-4 shrink-0 text-bad" />
            )}
            <span className={cx(toast.tone === "bad" && "text-bad")}>{toast.text}</span>
          </div>
        ))}
      </div>
    </Context.Provider>
  );
}
