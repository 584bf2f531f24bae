// What a file is, told from its first bytes, in words for a person.
//
// "Not an object file" helps nobody. Files of the wrong kind reach a linker for a handful of reasons: a linker script
// installed as libfoo.so, objects that are LLVM bitcode because of -flto, a library for another machine, a Git LFS
// pointer that was never fetched. Each is recognised by a few bytes at its start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace splicehost::linker {

// The machines that interpreters run on; the values are ELF's e_machine (EM_X86_64, EM_AARCH64).
enum class Machine : uint16_t { kX86_64 = 62, kAArch64 = 183 };

std::string_view machineName(Machine machine);

// The machine this code was compiled for.
#if defined(__x86_64__)
inline constexpr Machine kHostMachine = Machine::kX86_64;
#elif defined(__aarch64__)
inline constexpr Machine kHostMachine = Machine::kAArch64;
#else
#error "Splicehost's linker knows x86-64 and AArch64 only"
#endif

// A noun phrase with its article: "a linker script", "a shared object (ET_DYN) for AArch64".
std::string describeContent(std::span<const std::byte> file);

// Text taken from a file that may be corrupt, made fit for a message: control and non-ASCII
// characters become '?', and a long text is cut short.
std::string printable(std::string_view text);

}  // namespace splicehost::linker
