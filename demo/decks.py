"""CalculiX decks: a clamped elastic-plastic beam whose tip is pushed down in increments.

The mesh lies in a file of its own, in another directory than the decks: an engineer's study.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

LENGTH, WIDTH = 8.0, 1.0


@dataclass(frozen=True)
class Mesh:
    """8n x n x n elements of type C3D8I."""

    n: int

    @property
    def _cells(self) -> tuple[int, int, int]:
        return 8 * self.n, self.n, self.n

    def _node(self, i: int, j: int, k: int) -> int:
        nx, ny, _ = self._cells
        return 1 + i + (nx + 1) * (j + (ny + 1) * k)

    def text(self) -> str:
        """The include file: nodes, elements, the clamped and the pushed node sets."""
        return "".join(self._lines())

    def _lines(self) -> Iterator[str]:
        nx, ny, nz = self._cells
        yield "*NODE, NSET=NALL\n"
        for k in range(nz + 1):
            for j in range(ny + 1):
                for i in range(nx + 1):
                    x, y, z = LENGTH * i / nx, WIDTH * j / ny, WIDTH * k / nz
                    yield f"{self._node(i, j, k)},{x:.6f},{y:.6f},{z:.6f}\n"
        yield "*ELEMENT, TYPE=C3D8I, ELSET=EALL\n"
        number = 0
        for k in range(nz):
            for j in range(ny):
                for i in range(nx):
                    number += 1
                    yield f"{number},{','.join(map(str, self._corners(i, j, k)))}\n"
        for name, i in (("FIX", 0), ("TIP", nx)):
            yield f"*NSET, NSET={name}\n"
            yield from (f"{self._node(i, j, k)},\n" for j in range(ny + 1) for k in range(nz + 1))

    def _corners(self, i: int, j: int, k: int) -> list[int]:
        square = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)]
        return [self._node(a, b, c) for c in (k, k + 1) for a, b in square]


def deck(include: str, increments: int, push: float) -> str:
    """The deck proper; ``include`` as CalculiX opens it: relative to where ccx runs."""
    return f"""*HEADING
beam pushed by {push:g} in {increments} increments
*INCLUDE, INPUT={include}
*MATERIAL, NAME=STEEL
*ELASTIC
210000.,0.3
*PLASTIC
355.,0.
450.,0.05
520.,0.2
*SOLID SECTION, ELSET=EALL, MATERIAL=STEEL
*BOUNDARY
FIX,1,3
*STEP, NLGEOM, INC={10 * increments}
*STATIC, DIRECT
{1 / increments:.8f},1.
*BOUNDARY
TIP,3,3,{-push:g}
*NODE PRINT, NSET=FIX, TOTALS=ONLY
RF
*NODE FILE
U,RF
*EL FILE
S,PEEQ
*END STEP
"""
