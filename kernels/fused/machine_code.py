"""From an object file to a function that can be called. Knows neither kernels nor Numba.

On Linux on x86-64, fifty lines do what is left of a linker's work. Elsewhere LLVM does it, which takes 20 ms and 40 MB.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

ENTRY = "jit_masker_kernel"  # the symbol of the function that is called
WORD = ctypes.sizeof(ctypes.c_void_p)
# where NumPy keeps an array's data, shape and strides: PyArrayObject_fields, fixed by its C-API, behind Python's header
DATA, SHAPE, STRIDES = (object.__basicsize__ + i * WORD for i in (0, 2, 3))
X86_64, PROGBITS, SYMTAB, RELA, ALLOC, R_X86_64_64 = 62, 1, 2, 4, 0x2, 1  # of ELF
OUTSIDE = {"memset": ctypes.memset, "memmove": ctypes.memmove, "memcpy": ctypes.memmove}  # what LLVM makes of loops
READ_AND_RUN = 0x1 | 0x4  # PROT_READ | PROT_EXEC
_memory: list[object] = []  # that the code lies in: for as long as the process lives


def entry(native: str, arrays: Sequence[tuple[int, int]]) -> str:
    """LLVM's text of `int ENTRY(PyArrayObject *, ...)`, which unpacks arrays and calls `native`, compiled by Numba.

    Parameters
    ----------
    native : the symbol of a function that returns nothing. Numba hands over, for each array: two pointers to its owner
        (null: it is the caller's), the number of items, the size of one, the data, the shape, the strides.
    arrays : bytes of an item, and number of dimensions, of each.
    """
    from llvmlite import ir

    word, status, pointer = ir.IntType(8 * WORD), ir.IntType(32), ir.IntType(8).as_pointer()
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(status, [pointer] * len(arrays)), ENTRY)
    build = ir.IRBuilder(function.append_basic_block())

    def read(address: ir.Value, offset: int, type_: ir.Type) -> ir.Value:
        return build.load(build.bitcast(build.gep(address, [word(offset)]), type_.as_pointer()))

    given = [build.alloca(pointer), build.alloca(pointer.as_pointer())]  # for what it returns, and what it raises
    for array, (itemsize, ndim) in zip(function.args, arrays, strict=True):
        shape, strides = (
            [read(read(array, field, pointer), i * WORD, word) for i in range(ndim)] for field in (SHAPE, STRIDES)
        )
        items = word(1)
        for side in shape:
            items = build.mul(items, side)
        given += [pointer(None), pointer(None), items, word(itemsize), read(array, DATA, pointer), *shape, *strides]
    callee = ir.Function(module, ir.FunctionType(status, [value.type for value in given]), native)
    build.ret(build.call(callee, given))
    return str(module)


def load(code: bytes, arrays: int) -> Callable[..., int]:
    """ENTRY of the object file `code`: it takes that many NumPy arrays, releases the GIL, and returns 0."""
    address = _load_elf(code) or _load_by_llvm(code)
    return ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.py_object] * arrays)(address)


class Section(NamedTuple):
    """Elf64_Shdr: "Sections" in the System V ABI."""

    name: int
    type: int
    flags: int
    address: int
    offset: int  # bytes, in the file
    size: int  # bytes
    link: int
    info: int
    alignment: int
    entry_size: int


def _load_elf(code: bytes) -> int | None:
    """Address of ENTRY; None where there is more to do than put absolute addresses into code for x86-64 on Linux."""
    if sys.platform != "linux" or not code.startswith(b"\x7fELF") or struct.unpack_from("<H", code, 18)[0] != X86_64:
        return None
    (first,), (count,) = struct.unpack_from("<Q", code, 40), struct.unpack_from("<H", code, 60)
    sections = [Section(*struct.unpack_from("<IIQQQQIIQQ", code, first + 64 * i)) for i in range(count)]
    end, places = 0, {}  # bytes from the beginning of the memory
    for i, section in enumerate(sections):
        if section.type == PROGBITS and section.flags & ALLOC:  # instructions and constants
            places[i] = -(-end // section.alignment) * section.alignment
            end = places[i] + section.size
    memory = mmap.mmap(-1, end)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for i, place in places.items():
        memory[place : place + sections[i].size] = code[sections[i].offset :][: sections[i].size]
    symbols = [(name, base + places[i] + value if i in places else None) for name, i, value in _symbols(code, sections)]
    known = dict(symbols) | {name: ctypes.cast(function, ctypes.c_void_p).value for name, function in OUTSIDE.items()}
    for section in sections:
        if section.type != RELA or section.info not in places:
            continue
        for at in range(section.offset, section.offset + section.size, 24):
            where, info, addend = struct.unpack_from("<QQq", code, at)
            name, target = symbols[info >> 32]
            target = target or known[name]
            if info & 0xFFFFFFFF != R_X86_64_64 or target is None:
                return None
            struct.pack_into("<Q", memory, places[section.info] + where, target + addend)
    if ctypes.CDLL(None, use_errno=True).mprotect(ctypes.c_void_p(base), ctypes.c_size_t(end), READ_AND_RUN):
        raise OSError(ctypes.get_errno(), "this system does not let a program run what it has written")
    _memory.append(memory)
    return known.get(ENTRY)


def _symbols(code: bytes, sections: Sequence[Section]) -> Iterator[tuple[str, int, int]]:
    """Name, number of its section (0: it is outside), and place in that, of each."""
    table = next(section for section in sections if section.type == SYMTAB)
    names = sections[table.link].offset
    for at in range(table.offset, table.offset + table.size, 24):
        name, _, _, section, value, _ = struct.unpack_from("<IBBHQQ", code, at)
        yield code[names + name : code.index(0, names + name)].decode(), section, value


def _load_by_llvm(code: bytes) -> int:
    """Address of ENTRY."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _memory.append(engine)
    return engine.get_function_address(ENTRY)
