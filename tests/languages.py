"""Short texts in several languages, with the encodings that they were stored in before UTF-8."""

from __future__ import annotations

RUSSIAN = (
    "Каждое утро старый рыбак выходил к морю, чинил сети и смотрел, как солнце поднимается над водой.\n"
    "Его внук приносил хлеб и горячий чай. Они сидели на камнях и почти не разговаривали.\n"
    "Однажды внук спросил, почему дед никогда не уезжал из деревни. Рыбак долго молчал, а потом ответил:\n"
    "дорога ведёт всюду, но возвращаются по ней не все, а у моря должен кто-нибудь остаться.\n"
)
UKRAINIAN = (
    "Щоранку старий рибалка виходив до моря, лагодив сіті й дивився, як сонце піднімається над водою.\n"
    "Його онук приносив хліб і гарячий чай. Вони сиділи на камінні й майже не розмовляли.\n"
    "Одного разу онук запитав, чому дід ніколи не їхав із села. Рибалка довго мовчав, а потім відповів.\n"
)
POLISH = (
    "Każdego ranka stary rybak wychodził nad morze, naprawiał sieci i patrzył, jak słońce wschodzi nad wodą.\n"
    "Jego wnuk przynosił chleb i gorącą herbatę. Siedzieli na kamieniach i prawie nie rozmawiali.\n"
    "Pewnego dnia wnuk zapytał, dlaczego dziadek nigdy nie wyjechał ze wsi. Rybak długo milczał, potem rzekł:\n"
    "droga prowadzi wszędzie, lecz nie każdy nią wraca, a ktoś musi zostać, żeby światło w oknie świeciło.\n"
)
HUNGARIAN = (
    "Az öreg halász minden reggel kiment a tengerhez, megjavította a hálókat, és nézte, ahogy fölkel a nap.\n"
    "Az unokája kenyeret és forró teát hozott neki. A köveken ültek, és alig beszélgettek egymással.\n"
    "Egyszer az unoka megkérdezte, miért nem ment el soha a faluból. A halász sokáig hallgatott.\n"
)
ESTONIAN = (
    "Igal hommikul läks vana kalur mere äärde, parandas võrke ja vaatas, kuidas päike vee kohale tõuseb.\n"
    "Tema lapselaps tõi leiba, šokolaadi ja kuuma teed. Nad istusid kividel ega rääkinud peaaegu üldse.\n"
    "Ühel päeval küsis laps, miks vanaisa pole kunagi külast lahkunud. Kalur vaikis kaua, enne kui ta vastas: garaaž jäi ehitamata.\n"
    "Tee viib kõikjale, aga kõik ei tule mööda seda tagasi, ja mere ääres peab keegi jääma, et tuli aknas põleks.\n"
)
SPANISH = (
    "Cada mañana el viejo pescador salía al mar, remendaba las redes y miraba cómo subía el sol sobre el agua.\n"
    "Su nieto traía pan y té caliente. Se sentaban en las piedras y casi no hablaban. ¿Por qué? Nadie lo sabía.\n"
    "Un día el niño preguntó por qué el abuelo jamás había salido del pueblo. El pescador calló y después respondió.\n"
)
GREEK = (
    "Κάθε πρωί ο γέρος ψαράς πήγαινε στη θάλασσα, έφτιαχνε τα δίχτυα και κοίταζε τον ήλιο να ανεβαίνει.\n"
    "Ο εγγονός του έφερνε ψωμί και ζεστό τσάι. Κάθονταν στις πέτρες και σχεδόν δεν μιλούσαν.\n"
    "Μια μέρα το παιδί ρώτησε γιατί ο παππούς δεν έφυγε ποτέ από το χωριό. Ο ψαράς σώπασε πολλή ώρα.\n"
)
TURKISH = (
    "Yaşlı balıkçı her sabah denize iner, ağlarını onarır ve güneşin suyun üstünde yükselişini izlerdi.\n"
    "Torunu ekmek ve sıcak çay getirirdi. Taşların üzerine oturur, neredeyse hiç konuşmazlardı.\n"
    "Bir gün çocuk, dedesinin köyden neden hiç ayrılmadığını sordu. Balıkçı uzun süre sustu, sonra cevap verdi.\n"
)
HEBREW = (
    "בכל בוקר יצא הדייג הזקן אל הים, תיקן את הרשתות והביט בשמש העולה מעל המים.\n"
    "נכדו הביא לו לחם ותה חם. הם ישבו על האבנים וכמעט לא דיברו זה עם זה.\n"
    "יום אחד שאל הילד מדוע סבא מעולם לא עזב את הכפר. הדייג שתק זמן רב ואחר כך ענה.\n"
)
JAPANESE = (
    "年老いた漁師は毎朝海へ出て、網をつくろい、水平線の上に太陽が昇るのを眺めていました。\n"
    "孫はパンと熱いお茶を持ってきました。二人は石の上に座り、ほとんど話をしませんでした。\n"
    "ある日、孫はなぜ祖父が一度も村を離れなかったのかと尋ねました。漁師は長いあいだ黙ってから答えました。\n"
)
KOREAN = (
    "늙은 어부는 매일 아침 바다로 나가 그물을 고치고 물 위로 해가 떠오르는 것을 바라보았습니다.\n"
    "손자는 빵과 뜨거운 차를 가져왔습니다. 두 사람은 돌 위에 앉아 거의 말을 하지 않았습니다.\n"
    "어느 날 손자가 할아버지는 왜 한 번도 마을을 떠나지 않았느냐고 물었습니다. 어부는 오랫동안 말이 없었습니다.\n"
)
CHINESE = (
    "每天早晨，老渔夫都到海边去修补渔网，看着太阳从水面上慢慢升起来。\n"
    "他的孙子给他带来面包和热茶。他们坐在石头上，几乎不说话。\n"
    "有一天，孩子问爷爷为什么从来没有离开过这个村子。老渔夫沉默了很久，然后才回答他。\n"
)
TRADITIONAL = (
    "每天早晨，老漁夫都到海邊去修補漁網，看著太陽從水面上慢慢升起來。\n"
    "他的孫子給他帶來麵包和熱茶。他們坐在石頭上，幾乎不說話。\n"
    "有一天，孩子問爺爺為什麼從來沒有離開過這個村子。老漁夫沉默了很久，然後才回答他。\n"
)
OLD_ENCODINGS = (
    (RUSSIAN, "koi8-r"),
    (RUSSIAN, "cp1251"),
    (RUSSIAN, "cp866"),
    (RUSSIAN, "iso8859-5"),
    (UKRAINIAN, "koi8-u"),
    (UKRAINIAN, "cp1251"),
    (POLISH, "iso8859-2"),
    (POLISH, "cp1250"),
    (HUNGARIAN, "iso8859-2"),
    (ESTONIAN, "cp1252"),
    (ESTONIAN, "iso8859-15"),
    (ESTONIAN, "cp1257"),
    (ESTONIAN, "iso8859-13"),
    (SPANISH, "iso8859-1"),
    (SPANISH, "cp1252"),
    (GREEK, "iso8859-7"),
    (GREEK, "cp1253"),
    (TURKISH, "iso8859-9"),
    (HEBREW, "cp1255"),
    (JAPANESE, "euc_jp"),
    (JAPANESE, "shift_jis"),
    (KOREAN, "euc_kr"),
    (CHINESE, "gb2312"),
    (CHINESE, "gb18030"),
    (TRADITIONAL, "big5"),
)
