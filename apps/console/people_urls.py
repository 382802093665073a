"""The addresses of members, invitations, passwords and second factors."""

from django.urls import path

from apps.console.views import invitations, members, own_sign_in, passwords, sign_in

urlpatterns = [
    path("settings/users/", members.member_list, name="member-list"),
    path("settings/users/invite/", members.member_invite, name="member-invite"),
    path("settings/users/transfer/", members.transfer, name="account-transfer"),
    path("settings/users/second-factor", members.second_factor, name="second-factor-require"),
    path("settings/users/<int:member_id>/", members.member_edit, name="member"),
    path("settings/users/<int:member_id>/disable", members.member_disable, name="member-disable"),
    path("settings/users/<int:member_id>/enable", members.member_enable, name="member-enable"),
    path("settings/users/invitations/<int:invitation_id>/resend", members.invitation_resend, name="invitation-resend"),
    path(
        "settings/users/invitations/<int:invitation_id>/withdraw",
        members.invitation_withdraw,
        name="invitation-withdraw",
    ),
    path("invitations/<str:text>/", invitations.invitation, name="invitation"),
    path("login/code/", sign_in.second_step, name="sign-in-code"),
    path("login/confirm/", sign_in.confirm, name="confirm"),
    path("login/passkey/options", sign_in.passkey_options, name="passkey-options"),
    path("login/passkey/sign-in", sign_in.passkey_sign_in, name="passkey-sign-in"),
    path("login/password/", passwords.forgotten, name="password-forgotten"),
    path("login/password/<str:user_key>/<str:token>/", passwords.new_password, name="password-new"),
    path("profile/sign-in/", own_sign_in.overview, name="own-sign-in"),
    path("profile/sign-in/password/", own_sign_in.password_change, name="password-change"),
    path("profile/sign-in/app/begin", own_sign_in.app_begin, name="app-begin"),
    path("profile/sign-in/app/", own_sign_in.app_set_up, name="app-set-up"),
    path("profile/sign-in/app/remove", own_sign_in.app_remove, name="app-remove"),
    path("profile/sign-in/passkeys/options", own_sign_in.passkey_new_options, name="passkey-new-options"),
    path("profile/sign-in/passkeys/add", own_sign_in.passkey_add, name="passkey-add"),
    path("profile/sign-in/passkeys/<int:passkey_id>/remove", own_sign_in.passkey_remove, name="passkey-remove"),
    path("profile/sign-in/recovery-codes/renew", own_sign_in.codes_renew, name="codes-renew"),
    path("profile/sign-in/sessions/<int:session_id>/end", own_sign_in.session_end, name="session-end"),
    path("profile/sign-in/sessions/end-others", own_sign_in.sessions_end, name="sessions-end"),
]
