"""What the kernels in pretended domains do when xenstore asks them: slowly, wrongly, or not at all.

Nothing runs by itself. What a guest would have done by now happens as soon as anybody looks at the domains.
"""

from __future__ import annotations

from collections.abc import Callable

from xenfs.simulator.world.domains import Domain

FEATURES = ("poweroff", "reboot", "suspend")
_MUTE = frozenset({6})  # build-farm: its drivers are there, and hang
WITHOUT_DRIVERS = frozenset({7})  # desktop: a system without Xen's drivers
_CODES = {"poweroff": 0, "reboot": 1, "suspend": 2}
_NOTICES_NS = 50_000_000  # until a guest has read what it was asked
_STOPS_NS = 1_000_000_000  # until its system has shut down after that
_PLUGS_NS = 200_000_000  # until it has taken a vCPU up or down
_BALLOON_PAGES_S = 16_384  # 64 MiB in a second
_SECOND_NS = 1_000_000_000


class Guest:
    """What xenstore and a guest's own kernel have agreed upon: `request` is control/shutdown."""

    __slots__ = (
        "answers",
        "ballooned_ns",
        "drivers",
        "plug_ns",
        "request",
        "static_max_kb",
        "stop",
        "target_kb",
        "wanted",
    )

    def __init__(self, domain: Domain) -> None:
        self.drivers = domain.domid not in WITHOUT_DRIVERS
        self.answers = self.drivers and domain.domid not in _MUTE
        self.request = ""
        self.stop: tuple[int, str] | None = None  # when it will notice, or will have stopped; and what it was asked
        self.target_kb = self.static_max_kb = domain.tot_pages * 4
        self.ballooned_ns = 0  # up to when the balloon has moved
        self.wanted: dict[int, bool] = {}  # vCPUs by number, where xenstore has another word than "online"
        self.plug_ns = 0


class Guests:
    """The guests of a world, by what xenstore asks of them."""

    def __init__(
        self,
        now: Callable[[], int],
        end: Callable[[Domain, int], object],
        give_pages: Callable[[Domain, int], object],
        place: Callable[[Domain], object],
        tell: Callable[[str], object],
        free_pages: Callable[[], int],
    ) -> None:
        self._now, self._end, self._give_pages, self._place, self._tell = now, end, give_pages, place, tell
        self._free_pages = free_pages
        self.busy: dict[int, Domain] = {}  # those that have something left to do, by domid

    def of(self, domain: Domain) -> Guest:
        """The guest in a domain."""
        if domain.guest is None:
            domain.guest = Guest(domain)
        guest: Guest = domain.guest
        return guest

    def request(self, domain: Domain, word: str) -> None:
        """control/shutdown was written."""
        guest = self.of(domain)
        guest.request = word
        if guest.answers and word in _CODES and guest.stop is None:
            guest.stop = self._now() + _NOTICES_NS, word
            self.busy[domain.domid] = domain

    def aim(self, domain: Domain, target_kb: int) -> None:
        """memory/target was written."""
        guest = self.of(domain)
        guest.target_kb, guest.ballooned_ns = target_kb, self._now()
        if guest.answers:
            self.busy[domain.domid] = domain

    def plug(self, domain: Domain, vcpu: int, online: bool) -> None:
        """cpu/<v>/availability was written."""
        guest = self.of(domain)
        guest.wanted[vcpu], guest.plug_ns = online, self._now() + _PLUGS_NS
        if guest.answers:
            self.busy[domain.domid] = domain

    def stir(self) -> None:
        """Let happen what would have happened by now. A guest that is paused or over does nothing."""
        now = self._now()
        for domid, domain in list(self.busy.items()):
            over = domain.gone or domain.dying or domain.shutdown_code >= 0
            if over or (domain.runs and not self._moves(domain, self.of(domain), now)):
                self.busy.pop(domid, None)

    def _moves(self, domain: Domain, guest: Guest, now: int) -> bool:
        """Whether there is still something to do for it afterwards."""
        left = [self._balloons(domain, guest, now), self._plugs(domain, guest, now), self._stops(domain, guest, now)]
        return any(left)

    def _balloons(self, domain: Domain, guest: Guest, now: int) -> bool:
        most = min(domain.max_pages, domain.tot_pages + self._free_pages())
        wanted = min(guest.target_kb // 4, most)
        step = (now - guest.ballooned_ns) * _BALLOON_PAGES_S // _SECOND_NS
        if step:
            guest.ballooned_ns = now
            lowest, highest = domain.tot_pages - step, domain.tot_pages + step
            self._give_pages(domain, max(lowest, min(highest, wanted)))
        return domain.tot_pages != wanted

    def _plugs(self, domain: Domain, guest: Guest, now: int) -> bool:
        changed = [v for v in domain.existing() if v.online != guest.wanted.get(v.id, v.online)]
        if not changed or now < guest.plug_ns:
            return bool(changed)
        for vcpu in changed:
            vcpu.online = guest.wanted[vcpu.id]
        self._place(domain)
        return False

    def _stops(self, domain: Domain, guest: Guest, now: int) -> bool:
        if guest.stop is None or now < guest.stop[0]:
            return guest.stop is not None
        word = guest.stop[1]
        if guest.request:  # it has read it, and says so
            guest.request, guest.stop = "", (now + _STOPS_NS, word)
            self._tell(f"/local/domain/{domain.domid}/control/shutdown")
            return True
        guest.stop = None
        self._end(domain, _CODES[word])
        return False
