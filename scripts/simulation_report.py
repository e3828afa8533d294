"""What a simulated day came to, as a table and as a drawing."""

KINDS = ("routine", "stat")


def seconds(value):
    if value is None:
        return "-"
    return f"{value:.2f} s" if value < 100 else f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def three(percentiles):
    return ", ".join(seconds(percentiles[name]) for name in ("p50", "p95", "p99"))


def table(day):
    """One row for each station, in the order in which a scan meets them."""
    rows = ["| part | pods, most seen of most | busiest quarter, of the most pods | full at scans a day | waits routine: p50, p95, p99 | waits stat: p50, p95, p99 |", "|---|--:|--:|--:|--:|--:|"]
    for name, one in day["stations"].items():
        full = f"{one['full_at_scans_a_day']:,}" if one["full_at_scans_a_day"] else "-"
        waits = " | ".join(three(one["wait_s"][kind]) for kind in KINDS)
        rows.append(f"| {name} | {one['pods_most_seen']} of {one['pods_most']} | {100 * one['load_at_peak']:.0f} % | {full} | {waits} |")
    return rows


def clock(at):
    return f"{int(at // 3600):02}:{int(at % 3600 // 60):02}"


def sentences(day, currency):
    first = day["first_saturated"]
    one = day["stations"].get(first)
    yield f"Full first: {first}, from {clock(one['saturated_at_s'])} on, for {seconds(one['saturated_s'])} in all." if first else "Nothing was full."
    for kind in KINDS:
        yield f"Upload to result, {kind}: {three(day['response_s'][kind])} (p50, p95, p99)."
    if hospitals := day["p95_wait_by_hospital_s"]:
        yield f"Wait for a worker, p95 of a hospital: median {seconds(hospitals['median'])}, worst {seconds(hospitals['worst'])}."
    yield f"Cost: {day['cost']:,.0f} {currency}, {day['cost_per_1000_scans']:.2f} {currency} for 1,000 scans."


def text(found):
    first, last = found["hours"]
    day = found["as_it_is"]
    lines = [
        f"A simulation: {day['scans']:,} scans, {day['slices']:,} slices, from {first} to {last} o'clock, {found['values']}, workers on {found['device'].upper()}s, seed {found['seed']}.", ""
    ]
    for title, name in ((f"With {found['values']} as it is", "as_it_is"), ("With more pods where the peak takes them", "raised")):
        if name in found:
            lines += [f"{title}:", "", *table(found[name]), "", *sentences(found[name], found["currency"]), ""]
        if name == "as_it_is" and found["raise"]:
            lines += ["To be raised: " + "; ".join(f"{part} from {old} to {new}" for part, (old, new) in found["raise"].items()) + ".", ""]
    return "\n".join(lines).rstrip()


WIDTH, HEIGHT, LEFT, TOP, GAP = 860, 78, 120, 46, 18
BUSY, PODS, WAITING = "#2563eb", "#94a3b8", "#dc2626"


def line(points, colour, most, top, hours):
    begin, end = 3600 * hours[0], max(3600 * hours[1], max((at for at, _ in points), default=1))
    across = lambda at: LEFT + WIDTH * (at - begin) / max(1, end - begin)
    path = " ".join(f"{across(at):.1f},{top + HEIGHT - HEIGHT * min(1, value / most):.1f}" for at, value in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def drawing(day, found):
    """An SVG: of each station how busy its pods were, how many there were, and how many scans waited, through the day."""
    stations, hours = day["stations"], found["hours"]
    height = TOP + len(stations) * (HEIGHT + GAP) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 130}" height="{height}" font-family="sans-serif" font-size="12">',
        f'<rect width="100%" height="100%" fill="white"/><text x="12" y="20" font-size="14">A simulation of {day["scans"]:,} scans, seed {found["seed"]}, workers on {found["device"].upper()}s</text>',
        f'<text x="12" y="36"><tspan fill="{BUSY}">busy (0 to 100 %)</tspan>  <tspan fill="#64748b">pods (0 to most)</tspan>  <tspan fill="{WAITING}">waiting (0 to the number on the right)</tspan></text>',
    ]
    for index, (name, one) in enumerate(stations.items()):
        top, waiting = TOP + index * (HEIGHT + GAP), max(1, one["waiting_most"])
        parts.append(f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="#f8fafc" stroke="#cbd5e1"/><text x="12" y="{top + HEIGHT / 2}">{name}</text>')
        for column, colour, most in ((2, PODS, one["pods_most"]), (1, WAITING, waiting), (3, BUSY, 1)):
            parts.append(line([(row[0], row[column]) for row in one["history"]], colour, most, top, hours))
        parts.append(f'<text x="{LEFT + WIDTH + 8}" y="{top + 14}" fill="{WAITING}">{waiting:,} waiting</text><text x="{LEFT + WIDTH + 8}" y="{top + 32}" fill="#64748b">{one["pods_most"]} pods</text>')
    base = TOP + len(stations) * (HEIGHT + GAP) + 4
    parts += [f'<text x="{LEFT}" y="{base}">{hours[0]} h</text>', f'<text x="{LEFT + WIDTH}" y="{base}" text-anchor="end">{hours[1]} h</text>', "</svg>"]
    return "\n".join(parts) + "\n"
