"""Dicts: named tables whose entries can be set only if they are not there yet."""

from modal_proto import api_pb2 as pb

from loopback.state import State


class Dicts(State):
    async def DictGetOrCreate(self, req, md):
        self.dicts.setdefault(req.deployment_name, {})
        return pb.DictGetOrCreateResponse(
            dict_id=f"di-{req.deployment_name}", metadata=pb.DictMetadata(name=req.deployment_name)
        )

    def table(self, req) -> dict[bytes, bytes]:
        return self.dicts[req.dict_id.removeprefix("di-")]

    async def DictUpdate(self, req, md):
        (entry,) = req.updates
        table = self.table(req)
        created = entry.key not in table
        if created or not req.if_not_exists:
            table[entry.key] = entry.value
        return pb.DictUpdateResponse(created=created)

    async def DictGet(self, req, md):
        value = self.table(req).get(req.key)
        return pb.DictGetResponse(found=value is not None, value=value)
