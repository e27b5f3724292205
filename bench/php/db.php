<?php
// What the scripts share. This is how a host with php-fpm does it well: a connection kept from request to request, each
// statement prepared once for each connection, plain SQL, no framework.
const STATEMENTS = [
    'begin' => 'begin',
    'commit' => 'commit',
    'rollback' => 'rollback',
    'unique_username' => 'select not exists (select from app_user where username = $1)',
    'add_user' => 'insert into app_user (username, email) values ($1, $2) returning id',
    'add_audit' => 'insert into audit (user_id, action) values ($1, $2)',
    'add_item' => 'insert into item (name, n) values ($1, $2) returning id',
];

function answer(int $status, array $body): never
{
    http_response_code($status);
    header('Content-Type: application/json');
    echo json_encode($body);
    exit;
}

function body(): array
{
    $body = json_decode(file_get_contents('php://input'), true);
    return is_array($body) ? $body : answer(400, ['code' => 'BAD_JSON']);
}

function connect()
{
    return @pg_pconnect($_SERVER['PG_CONNINFO']) ?: answer(503, ['code' => 'DATABASE_UNAVAILABLE']);
}

function execute($db, string $name, array $values = [])
{
    return @pg_execute($db, $name, $values) ?: answer(500, ['code' => 'INTERNAL', 'detail' => pg_last_error($db)]);
}

// The first statement of a request. Whether this connection has its statements already is learnt by using one: asking
// would cost every request a round trip.
function execute_first($db, string $name, array $values = [])
{
    $result = @pg_execute($db, $name, $values);
    if ($result) {
        return $result;
    }
    foreach (STATEMENTS as $prepared => $sql) {
        @pg_prepare($db, $prepared, $sql);
    }
    return execute($db, $name, $values);
}
