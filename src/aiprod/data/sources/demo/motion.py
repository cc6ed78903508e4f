"""Moves the objects of a scene: free flight or gravity, elastic walls and collisions; records every impact."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aiprod.data.sources.demo.plan import ScenePlan

_STEPS_PER_S = 480
_RESTITUTION = 0.94  # of the floor under gravity; walls and collisions lose nothing
_QUIET_S = 0.06  # an object that rattles sounds once


@dataclass(frozen=True)
class Impact:
    """Something hit something."""

    time_s: float
    kind: str  # floor, ceiling, left wall, right wall, collision
    objects: tuple[int, ...]
    x: float  # where along the width, 0..1
    speed_px_s: float


@dataclass(frozen=True)
class SimulatedMotion:
    """Positions [object][picture] as (x, y, angle in degrees), and the impacts in order of time."""

    paths: tuple[tuple[tuple[float, float, float], ...], ...]
    impacts: tuple[Impact, ...]


def simulate(scene: ScenePlan, width: int, height: int, fps: int, pictures: int) -> SimulatedMotion:
    """Integrate the scene at 480 steps per second; picture n shows time n / fps."""
    state = [[o.x, o.y, o.vx, o.vy] for o in scene.objects]
    radii = [o.radius_px for o in scene.objects]
    paths: list[list[tuple[float, float, float]]] = [[] for _ in state]
    impacts: list[Impact] = []
    last: dict[tuple[int, ...], float] = {}
    step = 1.0 / _STEPS_PER_S
    per_picture = _STEPS_PER_S / fps

    def hit(kind: str, who: tuple[int, ...], at: float, x: float, speed: float) -> None:
        if speed > 0.04 * height and at - last.get(who, -1.0) > _QUIET_S:
            impacts.append(Impact(round(at, 4), kind, who, round(min(1.0, max(0.0, x / width)), 4), round(speed, 1)))
        last[who] = at

    n = 0
    for picture in range(pictures):
        for index, body in enumerate(state):
            angle = scene.objects[index].spin_deg_s * picture / fps
            paths[index].append((round(body[0], 2), round(body[1], 2), round(angle, 2)))
        while n < (picture + 1) * per_picture:
            n += 1
            at = n * step
            for index, body in enumerate(state):
                body[3] += scene.gravity_px_s2 * step
                body[0] += body[2] * step
                body[1] += body[3] * step
                _walls(body, radii[index], width, height, scene.gravity_px_s2 > 0, (index,), at, hit)
            _collide(state, radii, at, hit)
    return SimulatedMotion(tuple(tuple(p) for p in paths), tuple(i for i in impacts if i.time_s < pictures / fps))


def _walls(body, radius, width, height, gravity, who, at, hit) -> None:  # type: ignore[no-untyped-def] # noqa: PLR0917
    x, y, vx, vy = body
    if x < radius and vx < 0:
        hit("left wall", who, at, 0.0, -vx)
        body[0], body[2] = radius, -vx
    elif x > width - radius and vx > 0:
        hit("right wall", who, at, float(width), vx)
        body[0], body[2] = width - radius, -vx
    if y < radius and vy < 0:
        hit("ceiling", who, at, x, -vy)
        body[1], body[3] = radius, -vy
    elif y > height - radius and vy > 0:
        hit("floor", who, at, x, vy)
        body[1], body[3] = height - radius, -vy * (_RESTITUTION if gravity else 1.0)


def _collide(state, radii, at, hit) -> None:  # type: ignore[no-untyped-def]
    """Elastic collision of discs whose mass grows with their area."""
    for a in range(len(state)):
        for b in range(a + 1, len(state)):
            p, q = state[a], state[b]
            dx, dy = q[0] - p[0], q[1] - p[1]
            distance = math.hypot(dx, dy)
            if distance >= radii[a] + radii[b] or distance == 0.0:
                continue
            nx, ny = dx / distance, dy / distance
            closing = (p[2] - q[2]) * nx + (p[3] - q[3]) * ny
            if closing <= 0:
                continue
            mass_a, mass_b = radii[a] ** 2, radii[b] ** 2
            impulse = 2 * closing / (mass_a + mass_b)
            p[2] -= impulse * mass_b * nx
            p[3] -= impulse * mass_b * ny
            q[2] += impulse * mass_a * nx
            q[3] += impulse * mass_a * ny
            hit("collision", (a, b), at, (p[0] + q[0]) / 2, closing)
