<?php
// Signup: the name must be free, a user, an audit row with its id. One transaction.
require __DIR__ . '/db.php';
$body = body();
$db = connect();
execute_first($db, 'begin');
if (pg_fetch_result(execute($db, 'unique_username', [$body['username']]), 0, 0) !== 't') {
    execute($db, 'rollback');
    answer(409, ['code' => 'USERNAME_TAKEN']);
}
$id = (int)pg_fetch_result(execute($db, 'add_user', [$body['username'], $body['email']]), 0, 0);
execute($db, 'add_audit', [$id, 'signup']);
execute($db, 'commit');
answer(200, ['result' => ['id' => $id]]);
