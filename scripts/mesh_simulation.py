"""A discrete-event simulation of stations that a scan passes one after another, whose pods are scaled as the chart scales them."""

import collections
import heapq
import math

TICK_S = 15
# Kubernetes' own: how far use may be off before anything is scaled, and how fast pods may be added.
TOLERANCE = 0.1


class Fifo(collections.deque):
    """Who came first is next."""

    add, next = collections.deque.append, collections.deque.popleft

    def taken(self, scan):
        pass

    done = taken

    def jobs(self):
        return [len(self)]


class Turns:
    """Urgent scans first; of either kind, the oldest of the hospital that has the fewest in hand (services/storage/src/leases.rs)."""

    def __init__(self):
        # For each kind: the scans of each hospital, and whose turn it is. An entry that is no longer true is passed over.
        self.scans = [collections.defaultdict(collections.deque) for _ in range(2)]
        self.order = [[], []]
        self.in_hand = collections.Counter()
        self.waiting = [0, 0]

    def _stands(self, urgent, hospital):
        scans = self.scans[urgent][hospital]
        if scans:
            heapq.heappush(self.order[urgent], (self.in_hand[hospital], scans[0].entered, hospital))

    def add(self, scan):
        self.waiting[scan.urgent] += 1
        scans = self.scans[scan.urgent][scan.hospital]
        scans.append(scan)
        if len(scans) == 1:
            self._stands(scan.urgent, scan.hospital)

    def next(self):
        urgent = 1 if self.waiting[1] else 0
        while True:
            in_hand, entered, hospital = heapq.heappop(self.order[urgent])
            scans = self.scans[urgent][hospital]
            if scans and scans[0].entered == entered and self.in_hand[hospital] == in_hand:
                break
        self.waiting[urgent] -= 1
        return scans.popleft()

    def taken(self, scan):
        self._changed(scan.hospital, 1)

    def done(self, scan):
        self._changed(scan.hospital, -1)

    def _changed(self, hospital, by):
        self.in_hand[hospital] += by
        self._stands(0, hospital)
        self._stands(1, hospital)

    def __len__(self):
        return self.waiting[0] + self.waiting[1]

    def jobs(self):
        return self.waiting


class Scan:
    __slots__ = ("hospital", "urgent", "slices", "begun", "entered", "step")

    def __lt__(self, other):
        """Of two that end at the same moment, the one that began before."""
        return self.begun < other.begun

    def __init__(self, begun, hospital, urgent, slices):
        self.begun, self.hospital, self.urgent, self.slices, self.step = begun, hospital, urgent, slices, 0


class Scaling:
    """How many pods there are to be. `down_s`: for so long fewer must have been enough; `down_pods` go at a time, every `down_each_s`."""

    def __init__(self, least, most, cpu_percent=None, jobs_per_pod=None, down_s=300, down_each_s=TICK_S, down_pods=math.inf):
        self.least, self.most, self.cpu_percent, self.jobs_per_pod = least, most, cpu_percent, jobs_per_pod
        self.down_each_s, self.down_pods, self.last_down = down_each_s, down_pods, -math.inf
        self.wanted = collections.deque(maxlen=max(1, round(down_s / TICK_S)))

    def pods(self, now, pods, use, jobs):
        if self.jobs_per_pod:
            wanted = max(math.ceil(count / self.jobs_per_pod) for count in jobs)
        else:
            ratio = use * 100 / self.cpu_percent
            wanted = pods if abs(ratio - 1) <= TOLERANCE else math.ceil(pods * ratio)
        self.wanted.append(min(max(wanted, self.least), self.most))
        if self.wanted[-1] > pods:
            return min(self.wanted[-1], max(pods + 4, pods * 2))
        # Fewer only when all of the last minutes agree.
        fewer = max(self.wanted) if len(self.wanted) == self.wanted.maxlen else pods
        if fewer >= pods or now - self.last_down < self.down_each_s:
            return pods
        self.last_down = now
        return max(fewer, pods - self.down_pods)


class Station:
    """Pods of one kind, each with `servers` that do one scan at a time at `speed` cores."""

    def __init__(self, name, pods, servers=1, speed=1.0, scaling=None, start_s=0, queue=None):
        self.name, self.pods, self.servers, self.speed = name, pods, servers, speed
        self.scaling, self.start_s, self.queue = scaling, start_s, Fifo() if queue is None else queue
        self.starting, self.busy, self.waits, self.done, self.last = [], 0, ([], []), 0, 0.0
        # Since the last tick, and in all: seconds of busy servers, and of pods that are paid for.
        self.busy_s = self.pod_s = 0.0
        self.saturated_at, self.saturated_s, self.history = None, 0, []
        # Of what hospitals take turns at: what the scans of each have waited.
        self.by_hospital = collections.defaultdict(list) if isinstance(queue, Turns) else None

    @property
    def most(self):
        return self.scaling.most if self.scaling else self.pods

    def tick(self, now):
        """Looks at the last seconds, notes them, and scales."""
        self.busy_s += self.busy * (now - self.last)
        self.last = now
        use = self.busy_s / (TICK_S * self.pods * self.servers)
        self.busy_s = 0.0
        self.pod_s += (self.pods + len(self.starting)) * TICK_S
        waiting = self.queue.jobs()
        if self.pods >= self.most and use > 0.99 and len(self.queue) > self.pods * self.servers:
            self.saturated_s += TICK_S
            if self.saturated_at is None:
                self.saturated_at = now
        self.history.append((now, sum(waiting), self.pods, use))
        ready = [at for at in self.starting if at <= now]
        self.starting = [at for at in self.starting if at > now]
        self.pods += len(ready)
        if not self.scaling:
            return
        # What is in hand counts, too, and is mostly of the kind that is not urgent.
        jobs = [waiting[0] + self.busy, *waiting[1:]]
        there = self.pods + len(self.starting)
        wanted = self.scaling.pods(now, there, min(use, 1.0) * self.pods / there, jobs)
        self.starting += [now + self.start_s] * (wanted - there)
        if wanted < there:
            self.starting, going = self.starting[: max(0, wanted - self.pods)], self.pods - wanted
            self.pods -= max(0, going)


class Mesh:
    """`way` is a list of (station, service), where `service(scan)` is seconds of one core; `readable` the step after which a result is there."""

    def __init__(self, way, readable=None):
        self.way, self.readable = way, len(way) - 1 if readable is None else readable
        self.stations = list(dict.fromkeys(station for station, _ in way))
        self.arrived = self.left = 0
        self.responses, self.steps = ([], []), len(way)
        self.events = []

    def begin(self, now, station, scan):
        """Has a free server take the scan."""
        waited = now - scan.entered
        station.waits[scan.urgent].append(waited)
        if station.by_hospital is not None:
            station.by_hospital[scan.hospital].append(waited)
        station.queue.taken(scan)
        station.busy_s += station.busy * (now - station.last)
        station.last = now
        station.busy += 1
        heapq.heappush(self.events, (now + self.way[scan.step][1](scan) / station.speed, scan))

    def fill(self, now, station):
        """Lets free servers take what waits."""
        while station.queue and station.busy < station.pods * station.servers:
            self.begin(now, station, station.queue.next())

    def enter(self, now, scan):
        station = self.way[scan.step][0]
        scan.entered = now
        if station.busy < station.pods * station.servers and not station.queue:
            self.begin(now, station, scan)
        else:
            station.queue.add(scan)

    def ended(self, now, scan):
        station = self.way[scan.step][0]
        station.busy_s += station.busy * (now - station.last)
        station.last = now
        station.busy -= 1
        station.done += 1
        station.queue.done(scan)
        if station.queue:
            self.fill(now, station)
        if scan.step == self.readable:
            self.responses[scan.urgent].append(now - scan.begun)
        scan.step += 1
        if scan.step == self.steps:
            self.left += 1
        else:
            self.enter(now, scan)

    def run(self, arrivals):
        """Plays all of `arrivals`, in the order of `begun`, from the first one on until the last scan has left."""
        arrivals = iter(arrivals)
        coming = next(arrivals, None)
        begun = coming.begun // TICK_S * TICK_S if coming else 0
        tick = begun + TICK_S
        for station in self.stations:
            station.last = begun
        while coming is not None or self.events:
            come, end = coming.begun if coming else math.inf, self.events[0][0] if self.events else math.inf
            if tick <= min(come, end):
                for station in self.stations:
                    station.tick(tick)
                    self.fill(tick, station)
                tick += TICK_S
            elif come <= end:
                self.arrived += 1
                self.enter(come, coming)
                coming = next(arrivals, None)
            else:
                ends, scan = heapq.heappop(self.events)
                self.ended(ends, scan)
        return self
