"""The samples of a soak as an SVG that needs nothing else."""

WIDTH, HEIGHT, LEFT, GAP = 760, 110, 90, 34
ROWS = [
    ("anonymous memory, MiB", "anonymous_kib", 1024),
    ("charged to the cgroup, MiB", "charged_kib", 1024),
    ("descriptors", "descriptors", 1),
    ("threads", "threads", 1),
    ("spool, MiB", "spool_kib", 1024),
]


def draw(samples, path):
    last = samples[-1]["seconds"] or 1
    height = len(ROWS) * (HEIGHT + GAP) + 30
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 20} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for row, (title, key, unit) in enumerate(ROWS):
        top = row * (HEIGHT + GAP) + 24
        values = [one[key] / unit for one in samples]
        most = max(values) * 1.1 or 1
        points = " ".join(
            f"{LEFT + one['seconds'] / last * WIDTH:.1f},{top + HEIGHT * (1 - value / most):.1f}"
            for one, value in zip(samples, values)
        )
        out += [
            f'<text x="{LEFT}" y="{top - 6}" fill="#222">{title}</text>',
            f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="#f5f5f5"/>',
            f'<polyline points="{points}" fill="none" stroke="#1f5fa8" stroke-width="1.2"/>',
        ]
        for value in (0, most / 1.1):
            y = top + HEIGHT * (1 - value / most)
            out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#222">{value:.4g}</text>')
            out.append(f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ccc"/>')
    for minute in range(0, last // 60 + 1, max(1, last // 600)):
        x = LEFT + minute * 60 / last * WIDTH
        out.append(f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle" fill="#222">{minute} min</text>')
    path.write_text("\n".join(out) + "\n</svg>\n")
