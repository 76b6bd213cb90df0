"""Images, mounts and blobs: what a container's file system is made of."""

import hashlib
import sys

from modal_proto import api_pb2 as pb

from loopback.state import OK, State


class Images(State):
    async def ImageGetOrCreate(self, req, md):
        key = req.image.SerializeToString(deterministic=True)
        image_id = self.images.setdefault(key, self.new_id("im"))
        v = ".".join(map(str, sys.version_info[:3]))
        return pb.ImageGetOrCreateResponse(
            image_id=image_id,
            result=pb.GenericResult(status=OK),
            metadata=pb.ImageMetadata(
                image_builder_version=req.builder_version, python_version_info=f"Python {v}"
            ),
        )

    async def MountGetOrCreate(self, req, md):
        mid = self.new_id("mo")
        self.mounts[mid] = {f.filename: f.sha256_hex for f in req.files}
        return pb.MountGetOrCreateResponse(mount_id=mid, handle_metadata=pb.MountHandleMetadata())

    async def MountBatchedCheckExistence(self, req, md):
        return pb.MountBatchedCheckExistenceResponse(
            missing_sha256_hex_hashes=[h for h in req.sha256_hex_hashes if h not in self.content]
        )

    async def MountPutFile(self, req, md):
        kind = req.WhichOneof("data_oneof")
        if kind:
            data = req.data if kind == "data" else self.blobs[req.data_blob_id]
            assert hashlib.sha256(data).hexdigest() == req.sha256_hex
            self.content[req.sha256_hex] = data
        return pb.MountPutFileResponse(exists=req.sha256_hex in self.content)

    async def BlobCreate(self, req, md):
        bid = self.new_id("bl")
        return pb.BlobCreateResponse(
            blob_id=bid, blob_ids=[bid], upload_urls=pb.UploadUrlList(items=[f"{self.http}/blob/{bid}"])
        )

    async def BlobGet(self, req, md):
        return pb.BlobGetResponse(download_url=f"{self.http}/blob/{req.blob_id}")
