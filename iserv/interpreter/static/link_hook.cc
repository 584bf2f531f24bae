// Stands between the RTS linker and its linking of one object. That happens when a symbol of the object is first looked
// up: until then nobody needs to know whether it can be linked. The static interpreters are linked with
// --wrap=ocResolve_ELF; a shared RTS keeps that function to itself, and has C code as shared objects anyway.
#include <Rts.h>

#include <cstddef>
#include <cstring>
#include <span>

#include "linker/elf_object.h"

extern "C" {

// Of rts/Linker.c, with the linker's lock held: the address of a symbol, or null. Its object is linked, and noted as
// what the dependent one needs. GHC 9.0.2 has no third parameter, and takes no notice of it.
void* lookupDependentSymbol(const char* symbol, void* dependent, int* type);

// Of rts/linker/Elf.c. 1 for success, or 0 after a message.
int __real_ocResolve_ELF(void* code);
}

namespace {

// How an ObjectCode begins, in GHC 9.0.2, 9.6.6 and 9.10.3 (rts/LinkerInternals.h).
struct ObjectCodeStart {
  int status;
  const char* fileName;
  int fileSize;  // bytes
  const char* formatName;
  int type;
  const char* archiveMemberName;  // such as libx.a(y.o), or null
  void* symbols;
  int symbolCount;
  const std::byte* image;
};

splicehost::Status checkLinkable(ObjectCodeStart& code) {
  const std::span image(code.image, static_cast<size_t>(code.fileSize));
  splicehost::Result<splicehost::linker::ElfObject> object =
      splicehost::linker::ElfObject::open(image, splicehost::linker::kHostMachine);
  if (!object) return object.error();
  return object->checkLinkable(
      [&](const char* symbol) { return lookupDependentSymbol(symbol, &code, nullptr) != nullptr; });
}

}  // namespace

extern "C" int __wrap_ocResolve_ELF(void* code) {
  auto& start = *static_cast<ObjectCodeStart*>(code);
  if (splicehost::Status checked = checkLinkable(start); !checked) {
    const char* name = start.archiveMemberName != nullptr ? start.archiveMemberName : start.fileName;
    errorBelch("%s: %s", name, checked.error().message.c_str());
    return 0;
  }
  return __real_ocResolve_ELF(code);
}
