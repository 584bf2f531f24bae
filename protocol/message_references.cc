#include "protocol/message_references.h"

#include "protocol/message_layout.h"

namespace splicehost {

namespace {

using Visit = std::function<void(uint64_t)>;

void visitStruct(capnp::DynamicStruct::Reader from, const StructLayout& layout, const Visit& visit);

void visitField(capnp::DynamicStruct::Reader from, const FieldLayout& field, const Visit& visit) {
  if (field.reference && field.type.isList()) {
    for (uint64_t reference : from.get(field.field).as<capnp::List<uint64_t>>()) visit(reference);
  } else if (field.reference) {
    visit(from.get(field.field).as<uint64_t>());
  } else if (field.structure != nullptr && field.structure->hasReferences) {
    visitStruct(from.get(field.field).as<capnp::DynamicStruct>(), *field.structure, visit);
  }
}

void visitStruct(capnp::DynamicStruct::Reader from, const StructLayout& layout, const Visit& visit) {
  for (const FieldLayout& field : layout.fields) visitField(from, field, visit);
  if (layout.constructors.empty()) return;
  KJ_IF_MAYBE (which, from.which()) {
    visitField(from, layout.member(which->getProto().getDiscriminantValue()), visit);
  }
}

}  // namespace

void forEachReference(schema::Request::Reader request, const Visit& visit) {
  visitField(request, layoutOf(request.which()), visit);
}

void forEachReference(schema::Reply::Reader reply, const Visit& visit) {
  visitField(reply, layoutOf(reply.which()), visit);
}

}  // namespace splicehost
