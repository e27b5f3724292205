<?php
// One insert that returns the new id.
require __DIR__ . '/db.php';
$body = body();
$result = execute_first(connect(), 'add_item', [$body['name'], $body['n']]);
answer(200, ['result' => ['id' => (int)pg_fetch_result($result, 0, 0)]]);
