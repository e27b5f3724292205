<?php
// All inserts of the request in one transaction.
require __DIR__ . '/db.php';
$body = body();
$db = connect();
execute_first($db, 'begin');
$results = [];
foreach ($body['items'] as $item) {
    $results[] = ['id' => (int)pg_fetch_result(execute($db, 'add_item', [$item['name'], $item['n']]), 0, 0)];
}
execute($db, 'commit');
answer(200, ['results' => $results]);
