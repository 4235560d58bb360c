"""Heartbeats between the processes of a training: all end when one of them is gone for good.

A process that waits in a collective cannot be woken: so a thread watches, says one sentence, and ends the process.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from anew.core.exit_codes import STOPPED, USER_ERROR
from anew.core.processes import stuck_torchrun
from anew.core.processes.launcher import launcher_keeps_store, notify_torchrun
from anew.core.wording import ERROR_PREFIX
from anew.errors import ProcessError, printable

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

BEAT_S = 0.5  # time between heartbeats: a failure is known within a second, and a beat is one small message; chosen
# Seconds of silence after which a process counts as gone. A machine that swaps or pauses is silent for less; chosen.
LIMIT_S = 60.0
SUSPECT_S = 4.0  # a broken connection is blamed on a process after so much silence, which is eight beats
GRACE_S = 15.0  # the main thread may take so long to end once another process failed: it may be in a long step; chosen
# A heartbeat under way may take so long to end: longer than one takes, short enough to wait for; chosen
LEAVING_S = 5.0
MEND = "repeat the command, which continues from the last checkpoint"


@dataclass(frozen=True, slots=True)
class TrainingEnd:
    """Why a training ends on all processes.

    Attributes:
        rank: The process that is the cause.
        code: Exit code of the others.
        is_said: Whether some process has said it or is about to.
    """

    rank: int
    sentence: str
    code: int
    is_said: bool = False

    def to_json(self) -> str:
        return json.dumps([self.rank, self.sentence, self.code, self.is_said])

    @classmethod
    def from_json(cls, text: bytes) -> TrainingEnd:
        rank, sentence, code, is_said = json.loads(text)
        return cls(int(rank), str(sentence), int(code), bool(is_said))


class Beat(TypedDict, total=False):
    """The state that a process reports.

    Attributes:
        pid_namespace: Where its number means something, as `pid_namespace` gives it.
        calls: Collectives that it has begun.
        left: Whether it has ended as it should.
        failure: The sentence and the exit code with which it fails.
    """

    host: str
    pid_namespace: str
    pid: int
    number: int
    calls: int
    left: bool
    failure: tuple[str, int]


class Peer:
    """State of another process, as its heartbeats report it."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.beat: Beat = {}
        self.changed_at = time.monotonic()

    def update(self, beat: Beat) -> None:
        if beat != self.beat:
            self.beat, self.changed_at = beat, time.monotonic()

    @property
    def name(self) -> str:
        host = self.beat.get("host")
        return f"process {self.rank}" + (f" on {host!r}" if host else "")

    @property
    def calls(self) -> int:
        return int(self.beat.get("calls", 0))

    @property
    def number(self) -> int:
        return int(self.beat.get("number", 0))

    @property
    def has_exited(self) -> bool:
        return bool(self.beat.get("left"))

    def is_silent(self, seconds: float) -> bool:
        return not self.has_exited and time.monotonic() - self.changed_at > seconds

    def is_dead(self, pid_namespace: str) -> bool:
        """Whether it is one of this pid namespace and has ended; seen at once, before its heartbeat is missed."""
        pid = self.beat.get("pid")
        is_visible = bool(pid_namespace) and self.beat.get("pid_namespace") == pid_namespace
        if self.has_exited or not is_visible or not isinstance(pid, int):
            return False
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                return file.read().rpartition(")")[2].split()[0] in "ZX"
        except OSError:
            return True


def pid_namespace() -> str:
    """The machine and the kernel's PID namespace of this process: where they are equal, a number means the same process. "" where the
    system does not tell. Containers of one machine may share its name, and not see each other's processes."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{socket.gethostname()} {file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


class Monitor:
    """The heartbeat of this process. It also listens: the first process to all, the others to the first.

    Args:
        store: Reached by all processes; used by this monitor alone, since a call may block.
        pid_namespace: From `pid_namespace`.
    """

    def __init__(self, store: Store, rank: int, size: int, host: str, pid_namespace: str) -> None:
        self._store, self._rank, self._pid_namespace = store, rank, pid_namespace
        self._peers = [Peer(r) for r in (range(1, size) if rank == 0 else (0,))]
        self._beat: Beat = {"host": host, "pid_namespace": pid_namespace, "pid": os.getpid()}
        self._number = self._calls = 0
        self._ending: TrainingEnd | None = None
        self._end_at = 0.0
        self._is_speaker = False  # whether this process has to say why all end
        self._heard_at = time.monotonic()
        self._parent = os.getppid()
        self._lock = threading.Lock()
        # The last message must be the newest, whichever thread sends it.
        self._message_lock = threading.Lock()
        self._has_ended = threading.Event()
        self._wake = threading.Event()
        self._threads = [threading.Thread(target=t, daemon=True) for t in (self._exchange_states, self._watch)]

    def announce(self) -> None:
        """Let the store hold what the others will read; all processes do so before any of them starts to listen."""
        self._send_state()
        if self._rank == 0:
            self._store.set("ending", "null")

    def start(self) -> None:
        """Begin to tell and to listen, in the background."""
        self._heard_at = time.monotonic()
        for thread in self._threads:
            thread.start()

    def count_call(self) -> None:
        """A collective begins: how many a process has begun tells who is late."""
        self._calls += 1

    # -- how this process ends ------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """This process is done; its heartbeat is no longer expected."""
        self._beat["left"] = True
        self._round_trip()
        if self._rank == 0:  # the store may end with this process, and the others shall hear that it has left
            self._wait(
                LEAVING_S, lambda: all(peer.has_exited or peer.is_dead(self._pid_namespace) for peer in self._peers)
            )
        self._has_ended.set()
        self._wake.set()
        for thread in self._threads:  # one that is in a call of the store when the interpreter ends could hang it
            thread.join(LEAVING_S)

    def wait_for_main(self) -> None:
        """Wait until the first process has left, however long it takes."""
        while self._rank != 0 and not self._peers[0].has_exited:
            self.check()
            time.sleep(BEAT_S / 5)

    def fail(self, sentence: str, code: int = USER_ERROR) -> bool:
        """Tell the others that this process cannot go on.

        Returns:
            Whether this process has to say the sentence: the first one says it for all.
        """
        if self._ending is not None:  # another process was first
            return self._rank == 0 and self._claim()
        if self._rank == 0:
            self._decide(TrainingEnd(self._rank, sentence, code))
            is_speaker = self._claim()
            self._round_trip()
            return is_speaker
        self._beat["failure"] = (sentence, code)
        self._round_trip()
        self._wait(10 * BEAT_S, lambda: self._ending is not None)
        return self._ending is None  # the first process does not hear any more

    def explain(self, fault: str) -> ProcessError:
        """The error for a connection that broke: which process is the cause, as soon as that is known.

        Args:
            fault: The error of the connection, used where nothing else is known.
        """
        deadline = time.monotonic() + SUSPECT_S + 10 * BEAT_S
        while self._ending is None and time.monotonic() < deadline:
            try:
                self._suspect(SUSPECT_S)
                time.sleep(BEAT_S / 5)
            except KeyboardInterrupt:  # torchrun stops all where one has ended, and the reason is still wanted
                continue
        if self._has_lost_store():
            stuck_torchrun.start_watching()
            self._decide(self._lost_store())
        late_peer = next((peer for peer in self._peers if peer.calls < self._calls), None)
        if late_peer is not None:
            self._decide(
                TrainingEnd(
                    late_peer.rank,
                    f"{late_peer.name} did not reach the point where the others waited for it; {MEND}",
                    STOPPED,
                )
            )
        self._decide(TrainingEnd(self._rank, f"the connection between the processes broke ({fault}); {MEND}", STOPPED))
        error = self._error()
        self._round_trip()
        return error

    def reason(self) -> ProcessError | None:
        """Why this process is being stopped, where another one has failed or died: launchers stop the others long before a
        silence is noticed by itself. It waits for two heartbeats of each process, as one may have been under way when it died."""
        if os.getppid() != self._parent:  # the launcher was killed, often with the store, so nothing is heard of anyone
            return None
        known = {peer.rank: peer.number for peer in self._peers}

        def silent_peers() -> list[Peer]:
            return [peer for peer in self._peers if not peer.has_exited and peer.number < known[peer.rank] + 2]

        def is_clear() -> bool:
            return self._ending is not None or all(peer.is_dead(self._pid_namespace) for peer in silent_peers())

        self._wait(SUSPECT_S, is_clear)
        for peer in silent_peers():
            self._decide(TrainingEnd(peer.rank, f"{peer.name} has ended without saying why; {MEND}", STOPPED))
        return None if self._ending is None else self._error()

    def check(self) -> None:
        """Raise ProcessError where the training has ended on another process."""
        if self._ending is not None:
            raise self._error()

    def _error(self) -> ProcessError:
        assert self._ending is not None
        error = ProcessError(self._ending.sentence, self._ending.code)
        error.is_reported = not self._claim()
        return error

    @staticmethod
    def _wait(seconds: float, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            time.sleep(BEAT_S / 10)

    # -- what is heard --------------------------------------------------------------------------------------------------

    def _exchange_states(self) -> None:
        while not self._has_ended.is_set():
            self._number += 1
            try:
                self._exchange()
            except Exception:  # the store is gone, and `_watch` sees that nothing is heard
                time.sleep(BEAT_S)
            self._wake.wait(BEAT_S)
            self._wake.clear()

    def _exchange(self) -> None:
        self._send_state()
        keys = [self._key(peer.rank) for peer in self._peers]
        *beats, ending = self._store.multi_get([*keys, "ending"])
        for peer, beat in zip(self._peers, beats, strict=True):
            peer.update(json.loads(beat))
        if ending != b"null" and self._ending is None:
            self._decide(TrainingEnd.from_json(ending))
        for peer in self._peers:
            if failure := peer.beat.get("failure"):
                self._decide(TrainingEnd(peer.rank, str(failure[0]), int(failure[1])))
        if self._rank == 0 and self._ending is not None:
            self._store.set("ending", self._ending.to_json())
        self._heard_at = time.monotonic()

    def _send_state(self) -> None:
        with self._message_lock:
            beat: Beat = {**self._beat, "number": self._number, "calls": self._calls}
            self._store.set(self._key(self._rank), json.dumps(beat))

    def _round_trip(self) -> None:
        """Let what changed reach the store, as far as it can be reached."""
        try:
            self._exchange()
        except Exception:  # it is said where nothing is heard
            self._wake.set()

    def _suspect(self, silent_for: float) -> None:
        """Blame a process that has died in this pid namespace, or that has been silent for longer than `silent_for` seconds."""
        for peer in self._peers:
            if peer.is_dead(self._pid_namespace) or (peer.is_silent(silent_for) and not self._has_lost_store()):
                self._decide(TrainingEnd(peer.rank, f"{peer.name} has ended without saying why; {MEND}", STOPPED))

    def _watch(self) -> None:
        """End this process where another one is gone for good, and the main thread does not end by itself."""
        while not self._has_ended.wait(BEAT_S):
            if self._ending is None:
                self._check_silence()
            elif time.monotonic() > self._end_at:
                if self._claim():  # the main thread, even if it asked before, has not come to saying it
                    self._is_speaker = False
                    sys.stderr.write(f"{ERROR_PREFIX}{printable(self._ending.sentence)}\n")
                    sys.stderr.flush()
                notify_torchrun(self._ending.code)
                os._exit(self._ending.code)

    def _check_silence(self) -> None:
        silent = next((peer for peer in self._peers if peer.is_silent(LIMIT_S)), None)
        is_silent = time.monotonic() - self._heard_at > LIMIT_S
        if silent is None and not is_silent:
            return
        stuck_torchrun.start_watching()  # the machine out of reach may be that of the store which torchrun asks
        if self._has_lost_store():
            self._decide(self._lost_store(), grace=0.0)
            return
        name = self._peers[0].name if silent is None else silent.name
        rank = self._peers[0].rank if silent is None else silent.rank
        self._decide(TrainingEnd(rank, f"nothing was heard of {name} for {LIMIT_S:g} s; {MEND}", STOPPED), grace=0.0)

    def _has_lost_store(self) -> bool:
        """Whether the launcher's store does not answer: then the silence of a process says nothing about that process."""
        return launcher_keeps_store() and time.monotonic() - self._heard_at > min(SUSPECT_S, LIMIT_S)

    def _lost_store(self) -> TrainingEnd:
        place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        seconds = time.monotonic() - self._heard_at
        return TrainingEnd(
            0, f"the store of the launcher at {place} did not answer for {seconds:.0f} s; {MEND}", STOPPED
        )

    def _decide(self, ending: TrainingEnd, grace: float = GRACE_S) -> None:
        with self._lock:
            if self._ending is None:
                self._ending = ending
                self._end_at = time.monotonic() + grace

    def _claim(self) -> bool:
        """Whether this process is the one to say why all end: the first process of all, or of a host that does not hear of the first
        one, unless another was asked before. The answer stays yes, since an error may be replaced before it is said: by
        the KeyboardInterrupt of a launcher that stops the others."""
        with self._lock:
            assert self._ending is not None
            if self._is_speaker:
                return True
            is_reporter = self._rank == 0 or (
                self._ending.rank == 0 and self._reports_for_host() and self._has_lost_main()
            )
            if self._ending.is_said or not is_reporter:
                return False
            self._is_speaker = True
            self._ending = TrainingEnd(self._ending.rank, self._ending.sentence, self._ending.code, is_said=True)
            self._end_at = time.monotonic() + GRACE_S  # the main thread leaves first, then says it
            return True

    def _has_lost_main(self) -> bool:
        """Whether the first process cannot say it any more."""
        main = self._peers[0]
        if self._shares_host_with_main() and self._has_lost_store():
            return main.is_dead(self._pid_namespace)
        return main.is_dead(self._pid_namespace) or main.is_silent(min(SUSPECT_S, LIMIT_S))

    def _reports_for_host(self) -> bool:
        """Whether this process is the first one on this machine, not counting the first of all."""
        return int(os.environ.get("LOCAL_RANK", "0")) == int(self._shares_host_with_main())

    def _shares_host_with_main(self) -> bool:
        return self._peers[0].beat.get("pid_namespace") == self._pid_namespace

    @staticmethod
    def _key(rank: int) -> str:
        return f"beat/{rank}"
