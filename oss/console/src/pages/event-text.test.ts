import { describe, expect, it } from "vitest";
import type { JournalEvent } from "../api/client";
import { eventDetail } from "./event-text";

const update = (more: Partial<JournalEvent>) =>
  eventDetail({ type: "session-update", status: "active", reason: null, ...more } as JournalEvent);

describe("an update of a session", () => {
  it("is told as what it was", () => {
    expect(update({ renewed: true })).toBe("lease renewed");
    expect(update({ status: "idle", renewed: false })).toBe("is idle");
    expect(update({ status: "active", renewed: false })).toBe("is active");
    expect(update({ reason: "data plane: gone", renewed: true })).toBe("data plane: gone");
  });
});
