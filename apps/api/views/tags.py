"""The tags of an account, which its errors are marked with."""

from typing import Any

from django.urls import path

from apps.accounts.permissions import Act
from apps.accounts.tokens import Scope
from apps.api.caller import one
from apps.api.failures import conflict, invalid
from apps.api.operations import ApiView, operation
from apps.api.paging import PAGING, Listed, page_of
from apps.api.serializers.errors import TagAnswer, TagBody
from apps.core.ids import Kind, parse_wire_id
from apps.errors.models import Tag
from apps.errors.services.notes import NoteRefused, define_tag, remove_tag, rename_tag


class TagList(ApiView):
    @operation(query=PAGING, answer=TagAnswer, many=True)
    def get(self, request: Any) -> Listed:
        """The tags of the account, by name."""
        return page_of(request, Tag.objects.of(self.caller.account).order_by("name", "pk"), self.query)

    @operation(body=TagBody, answer=TagAnswer, status=201, scope=Scope.ERRORS)
    def post(self, request: Any) -> Tag:
        """Define a tag; one of that name that is there already is the answer."""
        self.caller.require(Act.DEFINE_TAGS)
        try:
            return define_tag(account=self.caller.account, member=self.caller.member, name=self.body["tag"])
        except NoteRefused as refused:
            raise invalid(str(refused), "tag") from refused


class OneTag(ApiView):
    @operation(answer=TagAnswer)
    def get(self, request: Any, tag_id: str) -> Tag:
        """One tag."""
        return self.tag(tag_id)

    @operation(body=TagBody, answer=TagAnswer, scope=Scope.ERRORS)
    def put(self, request: Any, tag_id: str) -> Tag:
        """Rename a tag; its errors keep it."""
        self.caller.require(Act.DEFINE_TAGS)
        tag = self.tag(tag_id)
        try:
            rename_tag(tag=tag, member=self.caller.member, name=self.body["tag"])
        except NoteRefused as refused:
            raise conflict(str(refused)) from refused
        return tag

    @operation(scope=Scope.ERRORS)
    def delete(self, request: Any, tag_id: str) -> None:
        """Take a tag out of the account, and off all its errors."""
        self.caller.require(Act.DEFINE_TAGS)
        remove_tag(tag=self.tag(tag_id), member=self.caller.member)

    def tag(self, tag_id: str) -> Tag:
        return one(Tag.objects.of(self.caller.account), parse_wire_id(tag_id, Kind.TAG))


urls = [
    path("tags", TagList.as_view(), name="tag-list"),
    path("tags/<str:tag_id>", OneTag.as_view(), name="tag"),
]
