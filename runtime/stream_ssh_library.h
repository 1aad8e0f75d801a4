/* libssh2, loaded by mf_ssh_load: calls of its functions and of its macros over them are written as ever. Included by
 * stream_ssh*.c only, in place of libssh2.h. */
#ifndef MF_STREAM_SSH_LIBRARY_H
#define MF_STREAM_SSH_LIBRARY_H

#include <libssh2.h>

#include "library.h"

/* All that are called. */
#define MF_SSH_FUNCTIONS(X)                                                                                            \
    X(libssh2_channel_close)                                                                                           \
    X(libssh2_channel_eof)                                                                                             \
    X(libssh2_channel_free)                                                                                            \
    X(libssh2_channel_get_exit_signal)                                                                                 \
    X(libssh2_channel_get_exit_status)                                                                                 \
    X(libssh2_channel_open_ex)                                                                                         \
    X(libssh2_channel_process_startup)                                                                                 \
    X(libssh2_channel_read_ex)                                                                                         \
    X(libssh2_channel_receive_window_adjust2)                                                                          \
    X(libssh2_channel_send_eof)                                                                                        \
    X(libssh2_channel_wait_closed)                                                                                     \
    X(libssh2_channel_window_read_ex)                                                                                  \
    X(libssh2_channel_window_write_ex)                                                                                 \
    X(libssh2_channel_write_ex)                                                                                        \
    X(libssh2_free)                                                                                                    \
    X(libssh2_init)                                                                                                    \
    X(libssh2_session_banner_get)                                                                                      \
    X(libssh2_session_block_directions)                                                                                \
    X(libssh2_session_callback_set)                                                                                    \
    X(libssh2_session_disconnect_ex)                                                                                   \
    X(libssh2_session_free)                                                                                            \
    X(libssh2_session_handshake)                                                                                       \
    X(libssh2_session_hostkey)                                                                                         \
    X(libssh2_session_init_ex)                                                                                         \
    X(libssh2_session_last_errno)                                                                                      \
    X(libssh2_session_last_error)                                                                                      \
    X(libssh2_session_method_pref)                                                                                     \
    X(libssh2_session_set_blocking)                                                                                    \
    X(libssh2_session_supported_algs)                                                                                  \
    X(libssh2_userauth_authenticated)                                                                                  \
    X(libssh2_userauth_keyboard_interactive_ex)                                                                        \
    X(libssh2_userauth_list)                                                                                           \
    X(libssh2_userauth_password_ex)                                                                                    \
    X(libssh2_userauth_publickey)                                                                                      \
    X(libssh2_userauth_publickey_fromfile_ex)                                                                          \
    X(libssh2_version)

enum mf_ssh_function {
#define X(name) MF_SSH_AT_##name,
    MF_SSH_FUNCTIONS(X)
#undef X
        MF_SSH_FUNCTION_COUNT
};

extern _Atomic(mf_library_function *) mf_ssh_functions[MF_SSH_FUNCTION_COUNT]; /* written once, by mf_ssh_load */

#define MF_SSH_FUNCTION(name)                    MF_LIBRARY_FUNCTION(name, mf_ssh_functions[MF_SSH_AT_##name])

#define libssh2_channel_close                    MF_SSH_FUNCTION(libssh2_channel_close)
#define libssh2_channel_eof                      MF_SSH_FUNCTION(libssh2_channel_eof)
#define libssh2_channel_free                     MF_SSH_FUNCTION(libssh2_channel_free)
#define libssh2_channel_get_exit_signal          MF_SSH_FUNCTION(libssh2_channel_get_exit_signal)
#define libssh2_channel_get_exit_status          MF_SSH_FUNCTION(libssh2_channel_get_exit_status)
#define libssh2_channel_open_ex                  MF_SSH_FUNCTION(libssh2_channel_open_ex)
#define libssh2_channel_process_startup          MF_SSH_FUNCTION(libssh2_channel_process_startup)
#define libssh2_channel_read_ex                  MF_SSH_FUNCTION(libssh2_channel_read_ex)
#define libssh2_channel_receive_window_adjust2   MF_SSH_FUNCTION(libssh2_channel_receive_window_adjust2)
#define libssh2_channel_send_eof                 MF_SSH_FUNCTION(libssh2_channel_send_eof)
#define libssh2_channel_wait_closed              MF_SSH_FUNCTION(libssh2_channel_wait_closed)
#define libssh2_channel_window_read_ex           MF_SSH_FUNCTION(libssh2_channel_window_read_ex)
#define libssh2_channel_window_write_ex          MF_SSH_FUNCTION(libssh2_channel_window_write_ex)
#define libssh2_channel_write_ex                 MF_SSH_FUNCTION(libssh2_channel_write_ex)
#define libssh2_free                             MF_SSH_FUNCTION(libssh2_free)
#define libssh2_init                             MF_SSH_FUNCTION(libssh2_init)
#define libssh2_session_banner_get               MF_SSH_FUNCTION(libssh2_session_banner_get)
#define libssh2_session_block_directions         MF_SSH_FUNCTION(libssh2_session_block_directions)
#define libssh2_session_callback_set             MF_SSH_FUNCTION(libssh2_session_callback_set)
#define libssh2_session_disconnect_ex            MF_SSH_FUNCTION(libssh2_session_disconnect_ex)
#define libssh2_session_free                     MF_SSH_FUNCTION(libssh2_session_free)
#define libssh2_session_handshake                MF_SSH_FUNCTION(libssh2_session_handshake)
#define libssh2_session_hostkey                  MF_SSH_FUNCTION(libssh2_session_hostkey)
#define libssh2_session_init_ex                  MF_SSH_FUNCTION(libssh2_session_init_ex)
#define libssh2_session_last_errno               MF_SSH_FUNCTION(libssh2_session_last_errno)
#define libssh2_session_last_error               MF_SSH_FUNCTION(libssh2_session_last_error)
#define libssh2_session_method_pref              MF_SSH_FUNCTION(libssh2_session_method_pref)
#define libssh2_session_set_blocking             MF_SSH_FUNCTION(libssh2_session_set_blocking)
#define libssh2_session_supported_algs           MF_SSH_FUNCTION(libssh2_session_supported_algs)
#define libssh2_userauth_authenticated           MF_SSH_FUNCTION(libssh2_userauth_authenticated)
#define libssh2_userauth_keyboard_interactive_ex MF_SSH_FUNCTION(libssh2_userauth_keyboard_interactive_ex)
#define libssh2_userauth_list                    MF_SSH_FUNCTION(libssh2_userauth_list)
#define libssh2_userauth_password_ex             MF_SSH_FUNCTION(libssh2_userauth_password_ex)
#define libssh2_userauth_publickey               MF_SSH_FUNCTION(libssh2_userauth_publickey)
#define libssh2_userauth_publickey_fromfile_ex   MF_SSH_FUNCTION(libssh2_userauth_publickey_fromfile_ex)
#define libssh2_version                          MF_SSH_FUNCTION(libssh2_version)

#endif
