<?php
// A Pivot application in plain PHP.
//
//     php -S 127.0.0.1:8080 pivot.php
//
// The same pages as pivot.py: /hello, /menu, /digits. PHP turns Digits[default]=12 into $params['Digits']['default'].

declare(strict_types=1);

function tts(string $text, ?array $then = null): array
{
    return ['module' => 'tts', 'data' => ['text' => $text], 'children' => $then ? ['_' => $then] : (object) []];
}

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$json = str_starts_with($_SERVER['CONTENT_TYPE'] ?? '', 'application/json');
$params = $json ? json_decode(file_get_contents('php://input'), true) : array_merge($_GET, $_POST);
$base = 'http://' . $_SERVER['HTTP_HOST'];
error_log($_SERVER['REQUEST_METHOD'] . ' ' . $_SERVER['REQUEST_URI'] . ' ' . json_encode($params));

switch ($path) {
    case '/':
    case '/hello':
        $flow = tts('Pivot is pretty awesome. Have a great day.');
        break;
    case '/menu':
        $again = ['module' => 'pivot', 'data' => ['voice_url' => "$base/digits", 'debug' => true], 'children' => (object) []];
        $collect = ['module' => 'collect_dtmf', 'data' => ['max_digits' => 4, 'timeout' => 8000], 'children' => ['_' => $again]];
        $flow = tts('Please enter four digits.', $collect);
        break;
    case '/digits':
        $entered = $params['Digits']['default'] ?? '';
        $flow = $entered === ''
            ? tts('I did not hear any digits. Goodbye.')
            : tts('You entered ' . implode(' ', str_split($entered)) . '. Goodbye.');
        break;
    default:
        http_response_code(404);
        $flow = (object) [];
}

header('Content-Type: application/json');
echo json_encode($flow);
