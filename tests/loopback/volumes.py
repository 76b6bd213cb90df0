"""Volumes: what was committed or uploaded, and the directories in which containers see it."""

import hashlib
import shutil
import time
from pathlib import Path, PurePosixPath

from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from modal_proto import api_pb2 as pb

from loopback.state import State, Task, Vol

BLOCK = 8 * 1024 * 1024


class Volumes(State):
    async def VolumeGetOrCreate(self, req, md):
        vol = next((v for v in self.volumes.values() if v.name == req.deployment_name), None)
        if vol is None:
            if req.object_creation_type == pb.OBJECT_CREATION_TYPE_UNSPECIFIED:
                raise GRPCError(Status.NOT_FOUND, f"Volume '{req.deployment_name}' not found")
            vol = Vol(self.new_id("vo"), req.deployment_name, req.version or pb.VOLUME_FS_VERSION_V1)
            self.volumes[vol.id] = vol
        return pb.VolumeGetOrCreateResponse(
            volume_id=vol.id,
            version=vol.version,
            metadata=pb.VolumeMetadata(version=vol.version, name=vol.name),
        )

    def check_capacity(self, more: int = 0) -> None:
        """Refuses what does not fit."""
        used = sum(len(data) for vol in self.volumes.values() for data in vol.files.values())
        if self.capacity is not None and used + more > self.capacity:
            raise GRPCError(Status.RESOURCE_EXHAUSTED, "no space left on the volume")

    def mount_dir(self, task: Task, vm: pb.VolumeMount) -> Path:
        return task.root / vm.mount_path.lstrip("/")

    def materialise(self, task: Task, vm: pb.VolumeMount):
        d = self.mount_dir(task, vm)
        shutil.rmtree(d, ignore_errors=True)
        d.mkdir(parents=True)
        task.baseline[vm.volume_id] = dict(self.volumes[vm.volume_id].files)
        for path, data in task.baseline[vm.volume_id].items():
            p = d / path
            p.parent.mkdir(parents=True, exist_ok=True)
            p.write_bytes(data)

    def mounted(self, md, volume_id):
        task = self.task_of(md)
        vm = next((m for m in task.fn.volume_mounts if m.volume_id == volume_id), None)
        if vm is None:
            raise GRPCError(Status.NOT_FOUND, "volume is not mounted in this container")
        return task, vm

    async def VolumeCommit(self, req, md):
        task, vm = self.mounted(md, req.volume_id)
        vol, d = self.volumes[req.volume_id], self.mount_dir(task, vm)
        now = {p.relative_to(d).as_posix(): p.read_bytes() for p in d.rglob("*") if p.is_file()}
        old = task.baseline[vol.id]
        self.check_capacity(sum(len(data) for path, data in now.items() if path not in old))
        for path in old.keys() - now.keys():  # only this container's own changes: last writer wins per file
            vol.files.pop(path, None)
        for path, data in now.items():
            if old.get(path) != data:
                vol.files[path], vol.mtimes[path] = data, time.time()
        task.baseline[vol.id] = now
        return pb.VolumeCommitResponse(skip_reload=True)

    async def VolumeReload(self, req, md):
        task, mount = self.mounted(md, req.volume_id)
        self.materialise(task, mount)
        self.reloaded.add(task.id)
        await self.notify()
        await self.wait_until(
            lambda: len(self.reloaded) >= self.abreast or any(c.output for c in self.calls.values()), 60
        )
        return Empty()

    async def VolumePutFiles2(self, req, md):
        missing, ready = [], []
        for fi, f in enumerate(req.files):
            if (
                req.disallow_overwrite_existing_files
                and f.path.lstrip("/") in self.volumes[req.volume_id].files
            ):
                raise GRPCError(Status.ALREADY_EXISTS, f"{f.path}: already exists")
            parts = []
            for bi, b in enumerate(f.blocks):
                data = self.blocks.get(b.contents_sha256.hex())
                if data is None:
                    missing.append(
                        pb.VolumePutFiles2Response.MissingBlock(
                            file_index=fi, block_index=bi, put_url=f"{self.http}/block"
                        )
                    )
                else:  # trailing zero bytes are stripped by the client
                    parts.append(data.ljust(min(BLOCK, f.size - bi * BLOCK), b"\0"))
            ready.append((f.path, b"".join(parts)))
        if not missing:
            self.check_capacity(sum(len(data) for _, data in ready))
            vol = self.volumes[req.volume_id]
            for path, data in ready:
                vol.files[path.lstrip("/")], vol.mtimes[path.lstrip("/")] = data, time.time()
        return pb.VolumePutFiles2Response(missing_blocks=missing)

    def listing(self, req):
        vol, base = self.volumes[req.volume_id], req.path.strip("/")
        if base in vol.files:
            names = {base: pb.FileEntry.FileType.FILE}
        else:
            names = {}
            for path in vol.files:
                if base and not path.startswith(base + "/"):
                    continue
                rel = PurePosixPath(path[len(base) :].lstrip("/"))
                for i in range(1, len(rel.parts) + 1):
                    if i == 1 or req.recursive:
                        p = "/".join(([base] if base else []) + list(rel.parts[:i]))
                        names[p] = (
                            pb.FileEntry.FileType.FILE
                            if i == len(rel.parts)
                            else pb.FileEntry.FileType.DIRECTORY
                        )
            if base and not names:
                raise GRPCError(Status.NOT_FOUND, f"{req.path}: no such file or directory")
        return [
            pb.FileEntry(path=p, type=t, size=len(vol.files.get(p, b"")), mtime=int(vol.mtimes.get(p, 0)))
            for p, t in sorted(names.items())
        ]

    async def VolumeListFiles2(self, stream):
        req = await self._recv("VolumeListFiles2", stream)
        await stream.send_message(pb.VolumeListFiles2Response(entries=self.listing(req)))

    async def VolumeGetFile2(self, req, md):
        data = self.volumes[req.volume_id].files.get(req.path.lstrip("/"))
        if data is None:
            raise GRPCError(Status.NOT_FOUND, f"{req.path}: no such file")
        sha = hashlib.sha256(data).hexdigest()
        self.content[sha] = data
        assert req.start % BLOCK == 0
        urls = [f"{self.http}/content/{sha}/{i}" for i in range(req.start // BLOCK, -(-len(data) // BLOCK))]
        return pb.VolumeGetFile2Response(
            get_urls=urls, size=len(data), start=req.start, len=len(data) - req.start
        )

    async def VolumeRemoveFile2(self, req, md):
        vol, base = self.volumes[req.volume_id], req.path.strip("/")
        gone = [p for p in vol.files if p == base or (req.recursive and p.startswith(base + "/"))]
        if not gone:
            raise GRPCError(Status.NOT_FOUND, f"{req.path}: no such file")
        for p in gone:
            del vol.files[p]
        return Empty()
