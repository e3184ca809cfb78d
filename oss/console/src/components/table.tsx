/** A plain table for what comes in pages, with its loading, empty and error states. */
import type { UseInfiniteQueryResult, UseQueryResult } from "@tanstack/react-query";
import { type ReactNode, useEffect, useRef } from "react";
import { Card, cx, Failure, Rows } from "./ui";

export interface Column<Row> {
  title: string;
  className?: string;
  numeric?: boolean;
  render: (row: Row) => ReactNode;
}

interface TableProps<Row> {
  columns: Column<Row>[];
  rows: Row[];
  rowKey: (row: Row) => string | number;
  onOpen?: (row: Row) => void;
  empty: ReactNode;
  query: UseQueryResult<unknown> | UseInfiniteQueryResult<unknown>;
}

export function Table<Row>({ columns, rows, rowKey, onOpen, empty, query }: TableProps<Row>) {
  return (
    <Card className="overflow-x-auto">
      {query.isPending ? (
        <Rows />
      ) : query.isError ? (
        <Failure error={query.error} retry={() => void query.refetch()} />
      ) : rows.length === 0 ? (
        empty
      ) : (
        <table className="w-full text-[13px]">
          <thead>
            <tr className="border-b border-line">
              {columns.map((column) => (
                <th
                  key={column.title}
                  className={cx(
                    "h-10 px-4 text-left text-[12px] font-medium whitespace-nowrap text-faint",
                    column.numeric && "text-right",
                  )}
                >
                  {column.title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr
                key={rowKey(row)}
                tabIndex={onOpen ? 0 : undefined}
                onClick={onOpen && (() => onOpen(row))}
                onKeyDown={
                  onOpen &&
                  ((event) => {
                    if (event.key === "Enter" && event.target === event.currentTarget) onOpen(row);
                  })
                }
                className={cx(
                  "border-b border-line/60 -outline-offset-2 last:border-0",
                  onOpen && "cursor-pointer hover:bg-raised/60",
                )}
              >
                {columns.map((column) => (
                  <td
                    key={column.title}
                    className={cx(
                      "h-11 px-4",
                      column.numeric && "num text-right",
                      column.className,
                    )}
                  >
                    {column.render(row)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {"hasNextPage" in query && query.hasNextPage && <More query={query} />}
    </Card>
  );
}

/** Fetches the next page when it comes into view. */
function More({ query }: { query: UseInfiniteQueryResult<unknown> }) {
  const mark = useRef<HTMLDivElement>(null);
  const { fetchNextPage, isFetchingNextPage } = query;
  useEffect(() => {
    const element = mark.current;
    if (!element) return;
    const observer = new IntersectionObserver(
      (entries) => {
        if (entries.some((entry) => entry.isIntersecting) && !isFetchingNextPage) {
          void fetchNextPage();
        }
      },
      { rootMargin: "400px" },
    );
    observer.observe(element);
    return () => observer.disconnect();
  }, [fetchNextPage, isFetchingNextPage]);
  return (
    <div ref={mark}>
      <Rows count={2} />
    </div>
  );
}
